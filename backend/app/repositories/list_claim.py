"""The lists of one user that another one takes over (claim.py has the transaction with both)."""

from typing import Any

from backend.app import problems
from backend.app.db.session import OwnerSession
from backend.app.domain import positions
from backend.app.domain.limits import ID_MAX
from backend.app.repositories.claim_statements import IDS, MOVED_LISTS, ROWS, WRITE, names_of
from backend.app.repositories.list_import import KNOWN_LISTS, NUMBER_LISTS
from backend.app.repositories.lists import LAST_POSITION
from backend.app.repositories.mapping import NAMED_LISTS


async def move_lists(
    mine: OwnerSession, theirs: OwnerSession, counts: dict[str, int], *, max_lists: int
) -> dict[int, int]:
    """Write the other user's lists, and those of their trash, under the caller's next ids, behind the caller's.

    Each has one of the revisions after the caller's last one. The new ids by the old ones. Raises ListLimitReached.
    """
    rows: list[tuple[Any, dict[str, Any]]] = []
    for table in MOVED_LISTS:
        ids = [row[0] for row in await theirs.rows(IDS[table], after_id=0, most=ID_MAX)]
        rows += [(table, row) for row in await theirs.run(ROWS[table], ids=ids)]
    if not rows:
        return {}
    living = sum(table is NAMED_LISTS for table, _ in rows)
    if len(await mine.run(KNOWN_LISTS)) + living > max_lists:
        raise problems.ListLimitReached(max_lists)
    last_id, revision = counts["last_list_id"], counts["revision"]
    new_ids = {old: last_id + number for number, old in enumerate(sorted(row["id"] for _, row in rows), 1)}
    [last] = await mine.run(LAST_POSITION)
    end = last["position"]
    for number, (_, row) in enumerate(sorted(rows, key=lambda one: one[1]["position"]), 1):
        end = positions.behind(end)
        row |= {"id": new_ids[row["id"]], "position": end, "revision": revision + number}
    for table in MOVED_LISTS:
        some = [row for of, row in rows if of is table]
        if some:
            await mine.run(WRITE[table], **{f"of_{name}": [row[name] for row in some] for name in names_of(table)})
    await mine.run(NUMBER_LISTS, last_list_id=max(new_ids.values()))
    return new_ids
