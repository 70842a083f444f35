#!/usr/bin/env bash
# Run every check and every test, as CI does. Arguments go to pytest, and then coverage is not asked for.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/venv.sh
source scripts/venv.sh

if [ "${1:-}" = --help ] || [ "${1:-}" = -h ]; then
  echo "Usage: scripts/test.sh [PYTEST ARGUMENTS]   all checks, then the tests (or only those that the arguments choose)"
  exit 0
fi

ensure_venv
export PATH="$PWD/.venv/bin:$PATH"

# One command a line: in `a && b` set -e does not see that a fails.
step() {
  echo "$1 ..."
  shift
  "$@"
}
step ruff ruff check --quiet .
step "ruff format" ruff format --check --quiet .
step mypy mypy
step imports lint-imports --no-logo --no-cache
step shellcheck shellcheck scripts/*.sh deploy/*.sh .ci/run
step "alembic check" python -m scripts.check_migrations
echo "pytest ..."
if [ $# -gt 0 ]; then
  exec python -m pytest "$@"
fi
exec python -m pytest --cov --cov-report=term --cov-fail-under=100
