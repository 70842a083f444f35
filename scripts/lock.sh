#!/usr/bin/env bash
# Pin what requirements.txt and the dependency groups ask for, with everything below it and its hashes, in the lock files.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/venv.sh
source scripts/venv.sh

if [ "${1:-}" = --help ] || [ "${1:-}" = -h ]; then
  cat << 'TEXT'
Usage: scripts/lock.sh [--upgrade | --upgrade-package NAME]...

Renews requirements.lock, requirements-serve.lock and requirements-dev.lock after requirements.txt or a dependency group
has changed. What is pinned stays as it is where it can, unless --upgrade says otherwise. For CPython from 3.11 on, on every system that has wheels.
TEXT
  exit 0
fi

# locked FILE SOURCE...: the file names no address that packages come from, so it works with any index
locked() {
  local file=$1
  shift
  .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
    --annotation-style line --no-strip-extras --custom-compile-command ./scripts/lock.sh --output-file "$file" "$@" > /dev/null
}

ensure_venv development
echo "Locking what the backend needs to run ..."
locked requirements.lock "$@" requirements.txt
echo "Locking that and what ./scripts/dev.sh needs to serve ..."
locked requirements-serve.lock "$@" --constraints requirements.lock --group serve requirements.txt
echo "Locking that and what development needs ..."
locked requirements-dev.lock "$@" --constraints requirements-serve.lock --group dev requirements.txt
echo "Done. Install it with ./scripts/dev.sh or ./scripts/test.sh."
