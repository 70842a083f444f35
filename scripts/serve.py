"""What dev.sh runs: uvicorn's reloader on the development database, which it keeps running while the code reloads."""

import argparse
import contextlib
import signal
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

import uvicorn
from uvicorn.supervisors import ChangeReload

from backend.app import config
from backend.app.config import Settings
from backend.app.db import embedded
from backend.app.problems import StartupError
from scripts.token import DAY_MINUTES, signed

POLL_SECONDS = 0.05
USER = "dev"

READY = """
The API is ready on {url}, and its documentation on {url}/docs

Try it (the token is for a user called {user}, and is good for a day):

  curl -H "Authorization: Bearer {token}" {tasks} -H 'Content-Type: application/json' -d '{{"title": "Buy milk"}}'

  export TOKEN=$(.venv/bin/python -m scripts.token {user})
  curl -H "Authorization: Bearer $TOKEN" {tasks}
"""

NOT_READY = "The database of DATABASE_URL is not ready: is it there, and migrated (.venv/bin/alembic upgrade head)?"


@contextlib.contextmanager
def database(settings: Settings) -> Iterator[None]:
    """The embedded server, unless DATABASE_URL names another.

    Held here it outlives each reload, and is stopped also when a second Ctrl-C cuts the reloaded process short.
    """
    if settings.database_url is not None:
        yield
        return
    with embedded.joined():
        yield


def announce(text: str, url: str) -> None:
    """Print the text as soon as the URL answers; that may take until a mistake in the code is mended."""
    wait_for(url)
    print(text, flush=True)


def wait_for(url: str) -> None:
    """Come back when the URL answers with 200."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    warned = False
    while True:
        try:
            direct.open(url, timeout=5).close()
        except urllib.error.HTTPError:
            if not warned:
                print(NOT_READY, flush=True)
            warned = True
        except OSError:
            pass
        else:
            return
        time.sleep(POLL_SECONDS)


def url_of(listening: socket.socket) -> str:
    """Where a browser on this machine finds the socket."""
    host, port = listening.getsockname()[:2]
    here = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - read, not bound
    return f"http://[{here}]:{port}" if ":" in here else f"http://{here}:{port}"


def end(*_: object) -> None:
    """SIGTERM before the reloader handles it."""
    raise SystemExit(128 + signal.SIGTERM)


def main() -> None:
    """Serve until a signal ends it; no process is left then."""
    parser = argparse.ArgumentParser(prog="./scripts/dev.sh", description="Serve the API for development.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (127.0.0.1)")
    parser.add_argument("--port", type=int, default=8000, help="port to listen on (8000)")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGHUP, lambda *_: signal.raise_signal(signal.SIGTERM))  # the terminal was closed
    try:
        settings = config.load(Settings)
        token = signed(settings, USER, DAY_MINUTES)
        uvicorn_config = uvicorn.Config(
            "backend.app.main:app", host=arguments.host, port=arguments.port, reload=True, reload_dirs=["backend"]
        )
        listening = uvicorn_config.bind_socket()
        with database(settings):
            url = url_of(listening)
            ready = READY.format(url=url, user=USER, tasks=f"{url}/api/{USER}/tasks", token=token)
            threading.Thread(target=announce, args=(ready, f"{url}/health/ready"), daemon=True).start()
            ChangeReload(uvicorn_config, target=uvicorn.Server(uvicorn_config).run, sockets=[listening]).run()
    except StartupError as refusal:
        raise SystemExit(f"Refusing to start.\n{refusal}") from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
