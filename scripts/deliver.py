"""Deliver the reminders of all users: python -m scripts.deliver [--once]

Waits for reminders that are due and POSTs each to REMINDER_URL, at least once; any number of these may run beside each
other. With --once it delivers what is due now and ends, for cron. Ends after the tries that are under way on SIGTERM.
"""

import argparse
import asyncio
import contextlib
import logging
import signal
import sys
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import quote

import httpx
import orjson
import psycopg2

from backend.app import config
from backend.app.config.delivery import DeliverySettings
from backend.app.domain.completion_ids import microseconds
from backend.app.models import SCHEMA
from backend.app.observability.logging import configure_logging
from backend.app.observability.reminder_metrics import DELIVERED, FAILED, GIVEN_UP, ReminderMetrics
from backend.app.problems import StartupError
from scripts.maintenance import Maintenance, database_url
from scripts.webhooks import Message, Receiver

# Each wait before another try is so many times the one before.
BACKOFF_FACTOR: Final = 4

log = logging.getLogger("tasks")

# Each user is served in turn, so that nobody with very many reminders holds up the others.
USERS: Final = f"SELECT DISTINCT user_id FROM {SCHEMA}.reminders WHERE try_at <= now()"  # noqa: S608 - of constants
# The user's next reminder, and when it is tried again if nothing more is heard of this try. One whose task is not open
# any more, and one that nobody waits for any more, is forgotten. What another program has claimed is passed over.
CLAIM: Final = f"""
WITH due AS (
  SELECT user_id, task_id, remind_at, tries FROM {SCHEMA}.reminders
  WHERE user_id = %(user)s AND try_at <= now() ORDER BY try_at LIMIT 1 FOR UPDATE SKIP LOCKED
), judged AS (
  SELECT due.*, task.title, task.due_date, task.time_zone, CASE
    WHEN task.id IS NULL THEN 'cancelled'
    WHEN due.remind_at < now() - %(max_age)s THEN 'expired'
    WHEN due.tries >= %(max_tries)s THEN 'given_up' END AS outcome
  FROM due LEFT JOIN {SCHEMA}.tasks AS task
  ON task.user_id = due.user_id AND task.user_id = %(user)s AND task.id = due.task_id AND NOT task.completed
), gone AS (
  DELETE FROM {SCHEMA}.reminders AS one USING judged
  WHERE one.user_id = %(user)s AND one.user_id = judged.user_id AND one.task_id = judged.task_id
  AND one.remind_at = judged.remind_at AND judged.outcome IS NOT NULL
  RETURNING one.user_id
), claimed AS (
  UPDATE {SCHEMA}.reminders AS one
  SET tries = one.tries + 1, try_at = now() + %(delay)s * power({BACKOFF_FACTOR}, one.tries) FROM judged
  WHERE one.user_id = %(user)s AND one.user_id = judged.user_id AND one.task_id = judged.task_id
  AND one.remind_at = judged.remind_at AND judged.outcome IS NULL
  RETURNING one.user_id
)
SELECT user_id, task_id, remind_at, tries + 1, title, due_date, time_zone, outcome FROM judged
"""  # noqa: S608 - put together of constants
FORGET: Final = f"""
DELETE FROM {SCHEMA}.reminders
WHERE user_id = %(user)s AND task_id = %(task)s AND remind_at = %(remind_at)s
"""  # noqa: S608 - put together of constants


@dataclass(frozen=True, slots=True)
class Due:
    """A reminder that is tried now for the `tries`-th time, or its `outcome` where it is not tried any more."""

    user: str
    task: int
    remind_at: datetime
    tries: int
    title: str | None
    due_date: str | None
    time_zone: str | None
    outcome: str | None

    @property
    def moment(self) -> str:
        return f"{self.remind_at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"

    def message(self) -> Message:
        """Its id is the same for each try: user (percent-encoded), task and moment (microseconds since 1970).

        No id has a full stop, which separates it from the rest of what is signed.
        """
        told = {
            "user_id": self.user,
            "task_id": self.task,
            "title": self.title,
            "due_date": self.due_date,
            "time_zone": self.time_zone,
            "remind_at": self.moment,
        }
        body = orjson.dumps({"type": "task.reminder", "timestamp": self.moment, "data": told})
        user = quote(self.user, safe="").replace(".", "%2E")
        return Message(f"{user}:{self.task}:{microseconds(self.remind_at)}", body)


class Queue:
    """The reminders in the database, as the role that may read of tasks what is told, and change no task."""

    def __init__(self, connection: Any, settings: DeliverySettings) -> None:
        """Raises StartupError where the database is not migrated, or this login may not deliver."""
        self._maintenance = Maintenance(
            connection,
            table="reminders",
            policy="deliver",
            timeout="SET LOCAL statement_timeout = '30s'",
            cluster=settings.database_cluster is not None,
        )
        self._parameters = {
            "max_age": timedelta(seconds=settings.reminder_max_age),
            "max_tries": settings.reminder_tries,
            "delay": timedelta(seconds=settings.reminder_retry_delay),
        }

    def users(self) -> list[str]:
        """Who has reminders that are due."""
        with self._maintenance.transaction() as cursor:
            cursor.execute(USERS)
            return [user for (user,) in cursor]

    def claim(self, user: str) -> Due | None:
        """The user's next reminder, which nobody else tries meanwhile; None where none is due."""
        with self._maintenance.transaction() as cursor:
            cursor.execute(CLAIM, {**self._parameters, "user": user})
            row = cursor.fetchone()
        return None if row is None else Due(*row)

    def forget(self, due: Due) -> None:
        with self._maintenance.transaction() as cursor:
            cursor.execute(FORGET, {"user": due.user, "task": due.task, "remind_at": due.remind_at})


class Delivery:
    """Takes what is due to the receiver, over so many connections at once."""

    def __init__(self, queue: Queue, receiver: Receiver, metrics: ReminderMetrics, settings: DeliverySettings) -> None:
        self._queue = queue
        self._receiver = receiver
        self._metrics = metrics
        self._connections = settings.reminder_connections
        self._max_tries = settings.reminder_tries

    async def round(self, stop: asyncio.Event) -> None:
        """Try everything once that is due, each user in turn. Raises psycopg2.Error."""
        users = deque(self._queue.users())
        try:
            async with asyncio.TaskGroup() as together:
                for _ in range(self._connections):
                    together.create_task(self._work(users, stop))
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None

    async def _work(self, users: deque[str], stop: asyncio.Event) -> None:
        while users and not stop.is_set():
            user = users.popleft()
            due = self._queue.claim(user)
            if due is None:
                continue
            users.append(user)
            if due.outcome is not None:
                self._report(due, due.outcome)
            else:
                await self._try(due)

    async def _try(self, due: Due) -> None:
        reason = await self._receiver.send(due.message())
        if reason is None:
            self._queue.forget(due)
            self._report(due, DELIVERED)
            return
        self._report(due, FAILED, reason=reason)
        if due.tries >= self._max_tries:
            self._queue.forget(due)
            self._report(due, GIVEN_UP)

    def _report(self, due: Due, outcome: str, **fields: Any) -> None:
        self._metrics.count(outcome)
        level = logging.WARNING if outcome in (FAILED, GIVEN_UP) else logging.INFO
        told = {"outcome": outcome, "user_id": due.user, "task_id": due.task, "remind_at": due.moment, **fields}
        log.log(level, "reminder", extra={"fields": told})


async def run(settings: DeliverySettings, *, once: bool) -> None:
    """Deliver until SIGTERM or SIGINT, or once. Raises StartupError, and with `once` psycopg2.Error."""
    stop, metrics = asyncio.Event(), ReminderMetrics()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    # No proxies from the environment: what is sent names a user and a task.
    limits = httpx.Limits(max_connections=settings.reminder_connections)
    async with httpx.AsyncClient(
        follow_redirects=False, trust_env=False, timeout=settings.reminder_timeout, limits=limits
    ) as client:
        receiver = Receiver(
            str(settings.reminder_url), settings.secret_key, timeout=settings.reminder_timeout, client=client
        )
        with metrics.running(settings.metrics_host, settings.reminder_metrics_port), database_url(settings) as url:
            while not stop.is_set():
                try:
                    await _rounds(url, receiver, metrics, settings, stop, once=once)
                except psycopg2.Error as error:
                    if once:
                        raise
                    log.warning("reminders: no database", extra={"fields": {"error": type(error).__name__}})
                if once:
                    return
                await _pause(stop, settings.reminder_interval)


async def _rounds(
    url: str,
    receiver: Receiver,
    metrics: ReminderMetrics,
    settings: DeliverySettings,
    stop: asyncio.Event,
    *,
    once: bool,
) -> None:
    """Deliver over one connection to the database. Raises psycopg2.Error when that is lost."""
    with contextlib.closing(psycopg2.connect(url)) as connection:
        delivery = Delivery(Queue(connection, settings), receiver, metrics, settings)
        while not stop.is_set():
            await delivery.round(stop)
            if once:
                return
            await _pause(stop, settings.reminder_interval)


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stop.wait(), seconds)


def main() -> None:
    """Exits with 1 and a sentence where it cannot deliver."""
    parser = argparse.ArgumentParser(prog="python -m scripts.deliver", description=__doc__)
    parser.add_argument("--once", action="store_true", help="deliver what is due now, and end")
    options = parser.parse_args()
    try:
        settings = config.load(DeliverySettings)
        configure_logging("info")
        asyncio.run(run(settings, once=options.once))
    except (StartupError, psycopg2.Error) as error:
        sys.exit(f"No reminders are delivered: {str(error).strip()}")


if __name__ == "__main__":
    main()
