# Sourced by the other scripts: .venv with everything that development needs, made or brought up to date.
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

# What .venv has to hold, as a hash.
wanted_packages() {
  .venv/bin/python - << 'PYTHON'
import hashlib, sys
print(hashlib.sha256(repr((sys.version, open("requirements-dev.lock").read())).encode()).hexdigest())
PYTHON
}

ensure_venv() {
  local python wanted
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
  wanted=$(wanted_packages)
  if [ "$(cat .venv/installed 2> /dev/null)" != "$wanted" ]; then
    echo "Installing packages into .venv ..."
    # Every version and every file's hash is in the lock file (./scripts/lock.sh renews it).
    .venv/bin/python -m pip install --quiet --require-hashes -r requirements-dev.lock
    printf '%s\n' "$wanted" > .venv/installed
  fi
}
