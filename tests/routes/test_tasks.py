"""The six routes as a client sees them."""

from tests.conftest import Client


async def test_a_created_task_can_be_read_at_its_location(client: Client) -> None:
    """POST answers 201 with Location and ETag, and GET at that location answers the same task."""
    created = await client.post(f"/api/{client.user_id}/tasks", json={"title": " Buy milk ", "description": "2 l"})

    assert created.status_code == 201
    read = await client.get(created.headers["location"])
    assert read.json() == created.json()
    assert read.headers["etag"] == created.headers["etag"] == f'"{created.json()["revision"]}"'
    assert created.json()["title"] == "Buy milk"
