# Sourced by the other scripts: .venv with what serving or development needs, made or brought up to date.
# shellcheck shell=bash

find_python() {
  local candidate
  for candidate in python3 python3.14 python3.13 python3.12 python3.11 python; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2> /dev/null; then
      printf '%s' "$candidate"
      return
    fi
  done
  echo "Python 3.11 or newer is needed, and none was found. Install it and run this again." >&2
  return 1
}

# wanted_packages LOCK_FILE: the line of .venv/installed that says that it is installed
wanted_packages() {
  .venv/bin/python - "$1" << 'PYTHON'
import hashlib, pathlib, sys
print(sys.argv[1], hashlib.sha256(repr((sys.version, pathlib.Path(sys.argv[1]).read_text())).encode()).hexdigest())
PYTHON
}

# ensure_venv [serve | development]
ensure_venv() {
  local python wanted lock=requirements-dev.lock
  if [ "${1:-}" = serve ]; then
    lock=requirements-serve.lock
  fi
  # Without `installed` it may be one whose making was cut short.
  if [ ! -e .venv/installed ] && ! .venv/bin/python -m pip --version > /dev/null 2>&1 || [ ! -x .venv/bin/python ]; then
    python=$(find_python)
    echo "Making .venv with $("$python" --version) ..."
    if ! "$python" -m venv --clear .venv; then
      rm -rf .venv
      echo "This Python cannot make virtual environments. On Debian: apt-get install python3-venv" >&2
      return 1
    fi
  fi
  wanted=$(wanted_packages "$lock")
  if ! grep -qxF "$wanted" .venv/installed 2> /dev/null; then
    echo "Installing $([ "$lock" = requirements-serve.lock ] || echo "development ")packages into .venv ..."
    # Every version and every file's hash is in the lock file (./scripts/lock.sh renews it).
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r "$lock"
    # The development packages are those for serving, and more.
    { printf '%s\n' "$wanted"; [ "$lock" = requirements-serve.lock ] || wanted_packages requirements-serve.lock; } > .venv/installed
  fi
}
