#!/usr/bin/env bash
# Ask the Python Packaging Authority's advisories about every package in the lock files. Needs the network, so CI does not run it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/venv.sh
source scripts/venv.sh

if [ "${1:-}" = --help ] || [ "${1:-}" = -h ]; then
  echo "Usage: scripts/check-deps.sh [PIP-AUDIT ARGUMENTS]   exits non-zero where a package has a known hole, or was not found"
  exit 0
fi

ensure_venv development
for lock in requirements.lock requirements-serve.lock requirements-dev.lock; do
  echo "Asking about $lock ..."
  # --strict: a package that nobody could tell anything about has not been checked.
  .venv/bin/pip-audit --strict --disable-pip --require-hashes --requirement "$lock" "$@"
done
