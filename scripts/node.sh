# Sourced by other scripts and tests: the packages of examples/web, installed or brought up to date.
# shellcheck shell=bash

ensure_node() {
  if ! command -v npm > /dev/null || ! node -e '
    const [major, minor] = process.versions.node.split(".").map(Number);
    process.exit(major > 22 || (major === 22 && minor >= 12) || (major === 20 && minor >= 19) ? 0 : 1);' 2> /dev/null; then
    echo "Node.js 20.19, 22.12 or newer is needed, with npm, and was not found. Install it from https://nodejs.org and run this again." >&2
    return 1
  fi
}

# The packages of a folder with a package-lock.json. Fails when they cannot be had: a folder that is half full is never
# taken for a whole one.
ensure_packages() {
  local folder=$1
  # The lock file itself, as it was when the packages were installed; npm ci empties the folder first.
  if ! cmp --silent "$folder/package-lock.json" "$folder/node_modules/installed"; then
    echo "Installing packages into $folder/node_modules ..."
    # Once more, from the start: a registry that drops a connection is no reason to fail.
    npm_ci "$folder" || npm_ci "$folder" || return
    cp "$folder/package-lock.json" "$folder/node_modules/installed"
  fi
}

npm_ci() {
  (cd "$1" && npm ci --no-audit --no-fund --loglevel=error)
}

ensure_web_packages() {
  ensure_node && ensure_packages examples/web
}
