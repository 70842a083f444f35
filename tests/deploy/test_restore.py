"""A database that was set back to a backup: what docs/deployment.md has an operator run, and what clients meet then."""

import re
from collections.abc import Iterator

import pytest

from backend.app.config import PROJECT_ROOT
from backend.app.db import embedded
from backend.app.main import create_app
from tests.support.applications import client_for, running, settings_for
from tests.support.postgres import Server
from tests.support.tokens import new_user

pytestmark = pytest.mark.no_cover
OWNER = "restoring_owner"
GUIDE = (PROJECT_ROOT / "docs/deployment.md").read_text()
[AFTER_A_RESTORE] = re.findall(r"## After a restore\n.*?```sql\n(.*?)```", GUIDE, re.DOTALL)


@pytest.fixture
def owner(server: Server) -> Iterator[str]:
    """Who owns the tables and is no superuser, as on Neon."""
    server.execute(f"CREATE ROLE {OWNER} LOGIN CREATEROLE")
    server.execute(f"CREATE DATABASE restored_live OWNER {OWNER}")
    try:
        embedded.bring_up_to_date(server.database_url("restored_live", OWNER))
        yield OWNER
    finally:
        server.execute("DROP DATABASE restored_live WITH (FORCE)")
        server.execute("DROP DATABASE IF EXISTS restored_backup WITH (FORCE)")
        names = "SELECT string_agg(quote_ident(rolname), ', ') FROM pg_roles WHERE rolname LIKE 'tasks_api_restored%'"
        server.execute(f"DROP ROLE {server.execute(names)[0][0]}, {OWNER}")


async def test_no_revision_that_was_lost_names_anything_again(server: Server, owner: str) -> None:
    """Neither a write, nor a list that a client has, nor a place from which it synchronises."""
    user_id = new_user()
    live, backup = (
        settings_for(server.database_url(name, owner), environment="development")
        for name in ("restored_live", "restored_backup")
    )
    async with running(create_app(live)) as app, client_for(app, user_id) as client:
        tasks = f"/api/{user_id}/tasks"
        await client.post(tasks, json={"title": "kept"})
    server.execute("CREATE DATABASE restored_backup TEMPLATE restored_live")
    async with running(create_app(live)) as app, client_for(app, user_id) as client:
        lost = (await client.post(tasks, json={"title": "lost"})).headers["etag"]
        assert (await client.get(tasks)).headers["etag"] == lost

    server.run_as(owner, "restored_backup", AFTER_A_RESTORE)
    async with running(create_app(backup)) as app, client_for(app, user_id) as client:
        # As many writes as were lost.
        other = await client.post(tasks, json={"title": "another"})
        known = await client.get(tasks, headers={"If-None-Match": lost})
        overwritten = await client.patch(f"{tasks}/2", json={"title": "overwritten"}, headers={"If-Match": lost})
        changes = await client.get(f"/api/{user_id}/changes", params={"since": lost.strip('"')})
        begun = (await client.get(f"/api/{user_id}/changes", params={"since": 0})).json()

    assert other.json()["id"] == 2
    assert (known.status_code, overwritten.status_code, changes.status_code) == (200, 412, 410)
    assert [task["title"] for task in begun["tasks"]] == ["kept", "another"]
    assert server.execute(
        "SELECT relforcerowsecurity FROM pg_class WHERE relname = 'task_lists'", database="restored_backup"
    ) == [(True,)]
