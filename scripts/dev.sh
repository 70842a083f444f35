#!/usr/bin/env bash
# Serve the API for development: packages, a secret, a database, a server that reloads when the code changes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/venv.sh
source scripts/venv.sh

if [ "${1:-}" = --help ] || [ "${1:-}" = -h ]; then
  cat <<'TEXT'
Usage: scripts/dev.sh [--host HOST] [--port PORT]

Serves the API on http://127.0.0.1:8000, reloading when the code changes. Needs Python 3.11 or newer and curl.
Makes what is missing: .venv, .env with a generated secret, and (without DATABASE_URL) a PostgreSQL in .data/.
TEXT
  exit 0
fi

ensure_venv serve

if [ ! -e .env ]; then
  echo "Writing .env with a new secret ..."
  (
    umask 077
    .venv/bin/python -c 'import secrets; print(f"BETTER_AUTH_SECRET={secrets.token_urlsafe(36)}")' > .env.new
  )
  mv .env.new .env
fi

# exec: signals reach the server itself.
exec .venv/bin/python -m scripts.serve "$@"
