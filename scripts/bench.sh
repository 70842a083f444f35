#!/usr/bin/env bash
# Measure the project beside the usual way, Fastify, PocketBase and the floor; writes docs/bench.md, docs/bench.svg and the
# table of docs/performance.md.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [ "${1:-}" = --help ] || [ "${1:-}" = -h ]; then
  cat << 'TEXT'
Usage: scripts/bench.sh [--quick | --tail] [--rounds N] [--seconds N] [--scenarios list,get,...]

Takes about a quarter of an hour; --quick measures the project, both Fastifys and the floor only, and writes nothing.
--tail explains where this project's slowest requests spend their time.
Needs Python 3.11 or newer, wrk, and for the Fastify peers Node.js 20; with apt and as root it installs wrk and PgBouncer.
TEXT
  exit 0
fi

if [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null && ! { command -v wrk && [ -x /usr/sbin/pgbouncer ]; } > /dev/null; then
  echo "Installing wrk and PgBouncer ..."
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends wrk pgbouncer python3-venv > /dev/null
fi
if ! command -v wrk > /dev/null; then
  echo "wrk is needed (Debian: apt-get install wrk)." >&2
  exit 1
fi

# A Python that was compiled without optimisations, as version managers do, takes up to twice the time for the same work:
# the quickest one here is what the Python contestants run on. If it has none either, the report says so on top.
quickest_python() {
  local candidate
  for candidate in python3 /usr/bin/python3 python3.11 python3.12 python3.13 python3.14; do
    "$candidate" scripts/bench/interpreter.py 2> /dev/null || true
  done | sort -g | sed -n '1s/^[^ ]* //p'
}
python=$(quickest_python)
if [ -z "$python" ]; then
  echo "Python 3.11 or newer is needed, with venv." >&2
  exit 1
fi
venv=.data/bench-venv
if [ "$(cat $venv/made-with 2> /dev/null)" != "$python" ]; then
  echo "Making $venv with $("$python" --version) ($python) ..."
  "$python" -m venv --clear $venv
  $venv/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
  printf '%s\n' "$python" > $venv/made-with
fi
$venv/bin/python -m pip install --quiet -r requirements.txt --group bench
exec $venv/bin/python -m scripts.bench "$@"
