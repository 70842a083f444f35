"""PocketBase as a contestant: an owner rule, and records on an SQLite of its own."""

import json
import secrets
import sqlite3
import sys
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.bench.contestants import (
    CALLERS,
    CHANGED,
    DESCRIPTION,
    NEW,
    PAGE,
    SECRET,
    TASKS_PER_USER,
    TITLE,
    USERS,
    Contestant,
    Request,
    user_id,
)
from scripts.bench.processes import Server, free_port, run


@dataclass
class PocketBase(Contestant):
    """PocketBase names paths and records its own way, and has no toggle: `completed` is set."""

    def request(self, kind: str, caller: int, n: int) -> Request:
        records, token = "/api/collections/tasks/records", self.tokens[caller - 1]
        one = f"{records}/{record_id(caller, n)}"
        match kind:
            case "list":
                return Request("GET", f"{records}?perPage={PAGE}&skipTotal=1&sort=-number", token)
            case "get":
                return Request("GET", one, token)
            case "create":
                body = json.loads(NEW) | {"owner": record_id(caller, 0), "number": TASKS_PER_USER + n}
                return Request("POST", records, token, json.dumps(body))
            case "update":
                return Request("PATCH", one, token, CHANGED)
            case "toggle":
                return Request("PATCH", one, token, json.dumps({"completed": n % 2 == 0}))
            case _:
                return Request("GET", records)


def record_id(caller: int, n: int) -> str:
    """PocketBase's ids have 15 characters; the 0th is the user's own."""
    return f"u{caller:06d}t{n:07d}"


def pocketbase(folder: Path) -> Contestant:
    """PocketBase with an owner rule, on its own SQLite."""
    port = free_port()
    program = [str(Path(sys.executable).with_name("pocketbase")), "--dir", str(folder)]
    login = {"identity": "bench@example.com", "password": SECRET}
    run([*program, "superuser", "upsert", login["identity"], login["password"]])

    def start() -> Server:
        command = [*program, "serve", "--http", f"127.0.0.1:{port}"]
        return Server(command, f"http://127.0.0.1:{port}", environment={}, folder=folder)

    with start() as server:
        server.wait("/api/health")
        admin = ask(server.url, "/api/collections/_superusers/auth-with-password", login)["token"]
        ask(server.url, "/api/collections", TASKS_COLLECTION, admin)
    fill(folder / "data.db")
    with start() as server:
        server.wait("/api/health")
        path = "/api/collections/users/impersonate/"
        signed = [
            ask(server.url, path + record_id(caller, 0), {"duration": 86400}, admin)["token"]
            for caller in range(1, CALLERS + 1)
        ]
    return PocketBase("pocketbase", "PocketBase", start, signed)


OWNER_RULE = "owner = @request.auth.id"
TASKS_COLLECTION = {
    "name": "tasks",
    "type": "base",
    "listRule": OWNER_RULE,
    "viewRule": OWNER_RULE,
    "createRule": OWNER_RULE,
    "updateRule": OWNER_RULE,
    "deleteRule": OWNER_RULE,
    "fields": [
        {"name": "owner", "type": "relation", "collectionId": "_pb_users_auth_", "required": True, "maxSelect": 1},
        {"name": "number", "type": "number"},
        {"name": "title", "type": "text", "required": True, "max": 200},
        {"name": "description", "type": "text", "max": 1000},
        {"name": "completed", "type": "bool"},
        {"name": "completed_at", "type": "date"},
        {"name": "priority", "type": "text", "max": 6},
        {"name": "due_date", "type": "text", "max": 32},
        {"name": "time_zone", "type": "text", "max": 64},
        {"name": "recurrence", "type": "text", "max": 200},
        {"name": "recurrence_from", "type": "text", "max": 16},
        {"name": "tags", "type": "json"},
        {"name": "reminders", "type": "json"},
        {"name": "remind_at", "type": "text", "max": 32},
        {"name": "parent_id", "type": "number"},
        {"name": "start_date", "type": "text", "max": 32},
        {"name": "list_id", "type": "number"},
        {"name": "position", "type": "text", "max": 64},
        {"name": "revision", "type": "number"},
        {"name": "created", "type": "autodate", "onCreate": True},
        {"name": "updated", "type": "autodate", "onCreate": True, "onUpdate": True},
    ],
    "indexes": ["CREATE INDEX tasks_of_owner ON tasks (owner, number)"],
}


def fill(file: Path) -> None:
    """The users and tasks of every other contestant, written where PocketBase keeps its own."""
    now = time.strftime("%Y-%m-%d %H:%M:%S.000Z", time.gmtime())
    people = [
        (record_id(u, 0), f"{user_id(u)}@example.com", secrets.token_hex(25), "!", 1, now, now)
        for u in range(1, USERS + 1)
    ]
    tasks = [
        (record_id(u, n), record_id(u, 0), n, TITLE.format(n=n), DESCRIPTION, 0, n, now, now)
        for u in range(1, USERS + 1)
        for n in range(1, TASKS_PER_USER + 1)
    ]
    database = sqlite3.connect(file)
    database.executemany(
        "INSERT INTO users (id, email, tokenKey, password, verified, created, updated) VALUES (?, ?, ?, ?, ?, ?, ?)",
        people,
    )
    database.executemany(
        "INSERT INTO tasks "
        "(id, owner, number, title, description, completed, revision, created, updated, tags, reminders) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, '[]', '[]')",
        tasks,
    )
    database.execute("ANALYZE")
    database.commit()
    database.close()


def ask(url: str, path: str, body: dict[str, Any], token: str = "") -> Any:
    headers = {"Content-Type": "application/json", **({"Authorization": token} if token else {})}
    request = urllib.request.Request(url + path, json.dumps(body).encode(), headers)  # noqa: S310 - loopback
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as answer:
        return json.load(answer)
