"""Lists through the API: how tests make, read and address them."""

from typing import Any

from tests.support.applications import Client


def list_path(client: Client, list_id: int | None = None, rest: str = "") -> str:
    """The path of the user's lists, or of one, or of what is below it (`rest`)."""
    return f"/api/{client.user_id}/lists" + ("" if list_id is None else f"/{list_id}{rest}")


async def create_list(client: Client, name: str = "Groceries", **members: Any) -> dict[str, Any]:
    """A new list with these members."""
    answer = await client.post(list_path(client), json={"name": name, **members})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


async def lists_of(client: Client, status: str = "all") -> list[dict[str, Any]]:
    """The lists in this state, in their order."""
    found: list[dict[str, Any]] = (await client.get(f"{list_path(client)}?status={status}")).json()
    return found
