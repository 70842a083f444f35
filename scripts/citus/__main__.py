"""`python -m scripts.citus PROGRAMS FOLDER`, which `scripts/citus.sh` runs after it has built Citus."""

import argparse
import asyncio
import os
from pathlib import Path
from typing import Final

from scripts.citus import parts
from scripts.citus.nodes import cluster
from scripts.citus.report import Report

PARTS: Final = ("suite", "lost-node", "silent-node", "moved-shard")


def main() -> None:
    """Print the table; exit with 1 where something is not as it should be."""
    parser = argparse.ArgumentParser(prog="./scripts/citus.sh", description="Try the project on a Citus cluster.")
    parser.add_argument("programs", type=Path, help="the folder of initdb and the other programs")
    parser.add_argument("folder", type=Path, help="where the nodes have their files")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; without one, all of them")
    arguments = parser.parse_args()
    if unknown := set(arguments.parts) - set(PARTS):
        parser.error(f"there is no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    # The API and the tests are given their settings, whatever those of this shell are.
    for name in ("DATABASE_URL", "DATABASE_DIRECT_URL", "DATABASE_CLUSTER", "ENVIRONMENT"):
        os.environ.pop(name, None)
    with cluster(arguments.programs, arguments.folder) as nodes:
        report = Report(nodes.versions())
        chosen = arguments.parts or PARTS
        if "suite" in chosen:
            parts.suite(nodes, report)
        if "lost-node" in chosen:
            asyncio.run(parts.lost_node(nodes, report))
        if "silent-node" in chosen:
            asyncio.run(parts.silent_node(nodes, report))
        if "moved-shard" in chosen:
            asyncio.run(parts.moved_shard(nodes, report))
    print(f"\n{report.text()}")
    if report.failures:
        raise SystemExit("\n".join(["", *report.failures]))


if __name__ == "__main__":
    main()
