#!/bin/sh
# Starts the API in its image, on the address that PORT and HOST name: Render, Cloud Run and Railway choose the port.
set -eu
# In place of the shell: SIGTERM reaches the server, which answers what is under way and ends.
exec uvicorn backend.app.main:app --host "${HOST:-0.0.0.0}" --port "${PORT:-8000}" \
  --http backend.app.server.protocol:Protocol --no-access-log --no-server-header \
  --timeout-keep-alive 5 --timeout-graceful-shutdown 30
