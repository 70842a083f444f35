#!/usr/bin/env bash
# Break things under load and count what is lost (nothing); prints the table. Bounded to ten minutes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/venv.sh
source scripts/venv.sh

usage() {
  cat << 'TEXT'
Usage: scripts/faults.sh [--soak SECONDS] [faults|soak] [PYTEST ARGUMENTS]

Without a word, every fault, directly and through PgBouncer where it is installed, and then mixed load for 180 seconds;
`faults` or `soak` does one of both. Each row of the table must be clean: nothing acknowledged lost or made twice, only
2xx, 409, 429 and 503 answered, working again within 5 s, /health within 100 ms; else the exit is not zero.
  scripts/faults.sh --soak 60             a shorter load
  scripts/faults.sh faults -k PgBouncer   some of the faults
As root it also fills a disk (a small tmpfs). Where the machine is busy the load is cut so that all ends in ten minutes.
TEXT
}

seconds=180 part=all
while [ $# -gt 0 ]; do
  case "$1" in
    --help | -h) usage && exit 0 ;;
    --soak)
      [ $# -ge 2 ] || { usage >&2 && exit 2; }
      seconds=$2
      shift
      ;;
    faults | soak) part=$1 ;;
    *) break ;;
  esac
  shift
done
case "$part" in
  all) chosen=(--faults --soak "$seconds") ;;
  faults) chosen=(--faults) ;;
  soak) chosen=(--soak "$seconds" -m soak) ;;
esac

ensure_venv development
# SIGINT, so that servers and mounts are taken down.
exec timeout --signal INT --kill-after 20 580 .venv/bin/python -m pytest tests/faults -q --within 570 "${chosen[@]}" "$@"
