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

ensure_web_packages() {
  local folder=examples/web
  ensure_node || return
  # The lock file itself, as it was when the packages were installed; npm ci empties the folder first.
  if ! cmp --silent $folder/package-lock.json $folder/node_modules/installed; then
    echo "Installing packages into $folder/node_modules ..."
    (cd $folder && npm ci --no-audit --no-fund --loglevel=error)
    cp $folder/package-lock.json $folder/node_modules/installed
  fi
}
