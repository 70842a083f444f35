"""A round trip with the client that openapi-python-client makes: lists, changes and puts back, exports and imports."""

import json
import os
import sys
from typing import TypeVar

from tasks_client import AuthenticatedClient
from tasks_client.api.account import export, import_
from tasks_client.api.tasks import create_task, list_tasks, replace_task, update_task
from tasks_client.models import (
    Archive,
    Imported,
    ListTasksPriorityItem,
    Problem,
    Status,
    Task,
    TaskCreate,
    TaskPatch,
    TaskReplace,
)

T = TypeVar("T")

user_id = os.environ["USER_ID"]
client = AuthenticatedClient(base_url=os.environ["BASE_URL"], token=os.environ["TOKEN"])


def expect(kind: type[T], parsed: object) -> T:
    if not isinstance(parsed, kind):
        raise TypeError(f"{kind.__name__} was expected: {parsed}")
    return parsed


cat = TaskCreate.from_dict(
    {"title": "Feed the cat", "priority": "high", "tags": ["Home"], "due_date": "2026-12-24T18:00:00Z"}
)
key = "openapi-python-client"
first = create_task.sync_detailed(user_id, client=client, body=cat, idempotency_key=key)
second = create_task.sync_detailed(user_id, client=client, body=cat, idempotency_key=key)

urgent = [ListTasksPriorityItem.HIGH, ListTasksPriorityItem.LOW]
listed = list_tasks.sync(user_id, client=client, priority=urgent, tag=["home"], status=Status.PENDING)
if not isinstance(listed, list):
    raise TypeError(f"not listed: {listed}")
[before] = listed

update_task.sync(user_id, before.id, client=client, body=TaskPatch(title="Feed the dog", due_date=None))
put_back = TaskReplace.from_dict(before.to_dict())
etag = f'"{before.revision}"'
refused = expect(Problem, replace_task.sync(user_id, before.id, client=client, body=put_back, if_match=etag))
after = expect(Task, replace_task.sync(user_id, before.id, client=client, body=put_back))

archive = expect(Archive, export.sync(user_id, client=client))
imported = expect(Imported, import_.sync(user_id, client=client, body=archive))

found = {
    "replayed": [response.headers.get("Idempotency-Replayed") for response in (first, second)],
    "listed": len(listed),
    "before": before.to_dict(),
    "after": after.to_dict(),
    "refused": refused.type_,
    "imported": imported.to_dict(),
}
sys.stdout.write(json.dumps(found))
