#!/usr/bin/env bash
# The whole thing to try in a browser: the example page with Better Auth, the API, and a database, in one command.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/venv.sh
source scripts/venv.sh
# shellcheck source=scripts/node.sh
source scripts/node.sh

if [ "${1:-}" = --help ] || [ "${1:-}" = -h ]; then
  cat << 'TEXT'
Usage: scripts/demo.sh [--page-port PORT] [--api-port PORT]

Serves the page of examples/web with Better Auth on http://localhost:3000, and the API that it calls on port 8000.
Needs Python 3.11 or newer, and Node.js 20.19, 22.12 or newer. Makes what is missing: .venv, examples/web/node_modules,
the built page, and in .data/ a PostgreSQL with a database for each, and Better Auth's secret.
TEXT
  exit 0
fi

ensure_venv serve
ensure_web_packages
cd examples/web
if [ -n "$(find src public index.html vite.config.ts package-lock.json -newer dist/index.html -print -quit 2>&1)" ]; then
  echo "Building the page ..."
  npm run --silent build -- --logLevel warn
fi
cd ../..

# exec: signals reach the program itself.
exec .venv/bin/python -m scripts.demo "$@"
