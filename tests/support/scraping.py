"""What Prometheus would see: the metrics of a running program, read over HTTP."""

import socket
import urllib.request
from collections.abc import Iterator

from prometheus_client.parser import text_string_to_metric_families

from tests.support.programs import free_port

# By name and labels, the labels in order.
Series = tuple[str, tuple[tuple[str, str], ...]]


def text(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        return str(answer.read(), "utf-8")


def scraped(port: int) -> dict[Series, float]:
    return dict(_samples(text(port)))


def _samples(exposition: str) -> Iterator[tuple[Series, float]]:
    for family in text_string_to_metric_families(exposition):
        for sample in family.samples:
            yield (sample.name, tuple(sorted(sample.labels.items()))), sample.value


def named(seen: dict[Series, float], name: str) -> dict[tuple[str, ...], float]:
    """The values of this name, by the labels' values in the order of the labels' names."""
    return {tuple(value for _, value in labels): found for (n, labels), found in seen.items() if n == name}


def free_ports(count: int) -> int:
    """The first of so many free ports in a row."""
    while True:
        first = free_port()
        try:
            for port in range(first + 1, first + count):
                with socket.socket() as listening:
                    listening.bind(("127.0.0.1", port))
        except OSError:
            continue
        return first
