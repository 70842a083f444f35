# Sourced by the other scripts: .venv with everything that development needs, made or brought up to date.
# shellcheck shell=bash

find_python() {
  local candidate
  for candidate in python3 python3.14 python3.13 python3.12 python3.11 python; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      printf '%s' "$candidate"
      return
    fi
  done
  echo "Python 3.11 or newer is needed, and none was found. Install it and run this again." >&2
  return 1
}

ensure_venv() {
  local python wanted
  if [ ! -x .venv/bin/python ]; then
    python=$(find_python)
    echo "Making .venv with $("$python" --version) ..."
    if ! "$python" -m venv .venv; then
      rm -rf .venv
      echo "This Python cannot make virtual environments. On Debian: apt-get install python3-venv" >&2
      return 1
    fi
  fi
  wanted=$(cat requirements.txt pyproject.toml | .venv/bin/python -c 'import hashlib, sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())')
  if [ "$(cat .venv/installed 2>/dev/null)" != "$wanted" ]; then
    echo "Installing packages into .venv ..."
    .venv/bin/python -m pip install --quiet --upgrade 'pip>=25.1'
    .venv/bin/python -m pip install --quiet -r requirements.txt --group dev
    printf '%s' "$wanted" > .venv/installed
  fi
}
