"""The old place of `backend.app.server.protocol`, for one release: `--http backend.app.protocol:Protocol`."""

from backend.app.server.protocol import Protocol

__all__ = ["Protocol"]
