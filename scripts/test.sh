#!/usr/bin/env bash
# Run every check and every test, as CI does.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/venv.sh
source scripts/venv.sh

if [ "${1:-}" = --help ] || [ "${1:-}" = -h ]; then
  cat << 'TEXT'
Usage: scripts/test.sh [--quick | PYTEST ARGUMENTS]

Without arguments: all checks, then all tests, also through PgBouncer, as on a cluster, and with every shortcut off.
--quick            the inner loop: all checks that need no database, unit tests, middleware, isolation and routes
PYTEST ARGUMENTS   all checks, then the tests that the arguments choose
TEXT
  exit 0
fi

ensure_venv development
export PATH="$PWD/.venv/bin:$PATH"
# Hundreds of programs are started: each would compile anew what it imports.
unset PYTHONDONTWRITEBYTECODE

# One command a line: in `a && b` set -e does not see that a fails.
step() {
  echo "$1 ..."
  shift
  "$@"
}

# Tests in parallel, each worker with a database server of its own: one more than cores, for those that start programs
# wait for them most of the time.
tests() {
  python -m pytest --numprocesses "$(($(nproc) + 1))" --dist loadgroup "$@"
}

step ruff ruff check --quiet .
step "ruff format" ruff format --check --quiet .
# One core for the longest of the checks, beside the others.
mypy &
types=$!
step imports lint-imports --no-logo --no-cache
step shellcheck shellcheck scripts/*.sh deploy/*.sh .ci/run

if [ "${1:-}" = --quick ]; then
  shift
  step mypy wait "$types"
  step pytest tests -q tests/auth tests/domain tests/isolation tests/middleware tests/ratelimit tests/routes \
    tests/test_config.py tests/test_imports.py tests/test_ownership.py tests/test_problems.py \
    --deselect tests/isolation/test_state_machine.py "$@"
  exit
fi

step "alembic check" python -m scripts.check_migrations
step mypy wait "$types"
if [ $# -gt 0 ]; then
  exec python -m pytest "$@"
fi
for way in plain pooled cluster; do
  step "pytest --$way" tests -q --no-header "--$way" tests
done
step pytest tests --cov --cov-report=term --cov-fail-under=100
