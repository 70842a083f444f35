"""What became of reminders, for Prometheus: counted by the program that delivers them, on a port of its own."""

import contextlib
from collections.abc import Iterator
from typing import Final

from prometheus_client import CollectorRegistry, Counter, start_http_server

from backend.app.problems import StartupError

# Delivered; a try that failed; none after the last try; not wanted any more; older than is sent.
DELIVERED, FAILED, GIVEN_UP, CANCELLED, EXPIRED = OUTCOMES = ("delivered", "failed", "given_up", "cancelled", "expired")


class ReminderMetrics:
    """Counts outcomes; each is there from the beginning, with 0."""

    def __init__(self) -> None:
        self.registry: Final = CollectorRegistry()
        self._reminders = Counter(
            "tasks_reminders", "Reminders, by what became of them.", ("outcome",), registry=self.registry
        )
        for outcome in OUTCOMES:
            self._reminders.labels(outcome)

    def count(self, outcome: str) -> None:
        self._reminders.labels(outcome).inc()

    @contextlib.contextmanager
    def running(self, host: str, port: int | None) -> Iterator[None]:
        """Answer Prometheus meanwhile, unless there is no port. Raises StartupError where it cannot be listened on."""
        if port is None:
            yield
            return
        try:
            server, thread = start_http_server(port, host, self.registry)
        except OSError as error:
            raise StartupError(f"REMINDER_METRICS_PORT {port} on METRICS_HOST {host}: {error.strerror}.") from None
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()
            thread.join()
