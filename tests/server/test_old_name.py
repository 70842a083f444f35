"""The protocol under its old name, for one release."""

from backend.app import protocol
from backend.app.server.protocol import Protocol


def test_the_old_name_is_the_same_class() -> None:
    """`uvicorn --http backend.app.protocol:Protocol` goes on working."""
    assert protocol.Protocol is Protocol
