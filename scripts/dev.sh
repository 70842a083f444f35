#!/usr/bin/env bash
# Serve the API for development: packages, a secret, a database, uvicorn --reload.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/venv.sh
source scripts/venv.sh

usage() {
  cat <<'TEXT'
Usage: scripts/dev.sh [--host HOST] [--port PORT]

Serves the API on http://127.0.0.1:8000, reloading when the code changes. Needs Python 3.11 or newer and curl.
Makes what is missing: .venv, .env with a generated secret, and (without DATABASE_URL) a PostgreSQL in .data/.
TEXT
}

host=127.0.0.1 port=8000
while [ $# -gt 0 ]; do
  case "$1" in
    --help | -h) usage; exit 0 ;;
    --host) host=$2; shift 2 ;;
    --port) port=$2; shift 2 ;;
    *) usage >&2; exit 2 ;;
  esac
done

ensure_venv

if [ ! -e .env ]; then
  echo "Writing .env with a new secret ..."
  (
    umask 077
    echo "BETTER_AUTH_SECRET=$(.venv/bin/python -c 'import secrets; print(secrets.token_urlsafe(36))')" > .env
  )
fi

# Runs beside the server's start.
announce() {
  local waited token
  token=$(.venv/bin/python -m scripts.token dev)
  for ((waited = 0; waited < 600; waited++)); do
    if curl -sf -o /dev/null "http://$host:$port/health/ready"; then
      cat <<TEXT

The API is ready on http://$host:$port, and its documentation on http://$host:$port/docs

Try it (the token is for a user called dev, and is good for a day):

  export TOKEN=$token
  curl -H "Authorization: Bearer \$TOKEN" http://$host:$port/api/dev/tasks -H 'Content-Type: application/json' -d '{"title": "Buy milk"}'
  curl -H "Authorization: Bearer \$TOKEN" http://$host:$port/api/dev/tasks

TEXT
      return
    fi
    # Ends with the server: its process is this one's parent.
    kill -0 $$ 2>/dev/null || return 0
    sleep 0.1
  done
}

announce &
# exec: signals reach uvicorn itself, and nothing is left when it ends.
exec .venv/bin/python -m uvicorn backend.app.main:app --reload --reload-dir backend --host "$host" --port "$port"
