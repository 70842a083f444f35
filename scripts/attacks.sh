#!/usr/bin/env bash
# Attack a server as one user while another is probed; writes the table of docs/fair-share.md.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/venv.sh
source scripts/venv.sh

if [ "${1:-}" = --help ] || [ "${1:-}" = -h ]; then
  echo "Usage: scripts/attacks.sh [PYTEST ARGUMENTS]"
  echo "Each attack takes five seconds; the other user waits at most 250 ms, /health 100 ms. Nothing else may be running."
  exit 0
fi

ensure_venv
export FAIR_SHARE_SECONDS=5 FAIR_SHARE_SLOWEST=0.25 FAIR_SHARE_SLOWEST_HEALTH=0.1 FAIR_SHARE_TABLE=docs/fair-share.md
exec timeout --signal INT --kill-after 20 1200 .venv/bin/python -m pytest tests/fair_share -q -p no:cacheprovider "$@"
