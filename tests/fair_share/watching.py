"""What an attack takes of the server while it lasts: memory of the process, and connections of the attacker's."""

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Final

import psutil
import psycopg2

MEBIBYTE: Final = 2**20
LOOK_SECONDS: Final = 0.05
# The text of a statement that is sent alone, and of one that begins a transaction, names the user for row security.
CONNECTIONS: Final = """
    SELECT count(*) FROM pg_stat_activity
    WHERE state <> 'idle' AND position(%s IN query) > 0 AND pid <> pg_backend_pid()
"""


class Watch:
    """The most that was seen: memory that was added in MiB, and connections at work for one user at the same time."""

    def __init__(self) -> None:
        self.memory = 0.0
        self.connections = 0
        # Set while a statement or transaction of the user's is seen.
        self.at_database = threading.Event()


@contextlib.contextmanager
def watching(pid: int, database_url: str, user_id: str) -> Iterator[Watch]:
    """Look at a process, and at a user's connections to this database, until the end of the block."""
    watch, ended = Watch(), threading.Event()
    process = psutil.Process(pid)
    before = process.memory_info().rss

    def look(connections: Callable[[], int]) -> None:
        watch.memory = max(watch.memory, (process.memory_info().rss - before) / MEBIBYTE)
        found = connections()
        watch.connections = max(watch.connections, found)
        if found:
            watch.at_database.set()

    def look_until_the_end() -> None:
        with contextlib.closing(psycopg2.connect(database_url)) as connection, connection.cursor() as cursor:
            connection.autocommit = True

            def connections() -> int:
                cursor.execute(CONNECTIONS, (user_id,))
                [(count,)] = cursor.fetchall()
                return int(count)

            while not ended.wait(LOOK_SECONDS):
                look(connections)

    thread = threading.Thread(target=look_until_the_end)
    thread.start()
    try:
        yield watch
    finally:
        ended.set()
        thread.join()
