"""What demo.sh runs, on the embedded database: Better Auth with the page in a child process, and the API in this one.

None of them outlives the others.
"""

import argparse
import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator

import psycopg2
import uvicorn

from backend.app.config import PROJECT_ROOT, Settings
from backend.app.db import embedded
from backend.app.main import create_app
from backend.app.problems import StartupError
from scripts.serve import announce, end, wait_for

WEB = PROJECT_ROOT / "examples/web"
SECRET = embedded.DATA / "better-auth.secret"
AUTH_DATABASE = "better_auth"
STOP_SECONDS = 5.0

# Its end of the pipe closes with this process, however that ends.
NODE = 'process.stdin.resume().on("close", () => process.exit()); await import("./server.js");'

READY = """
The example page is ready: open {page} and create an account.
The API that it calls is on {api}, and its documentation on {api}/docs
Ctrl-C ends both.
"""


def secret() -> str:
    """What Better Auth signs its cookies with: made once, readable by nobody else, and none of the API's business."""
    if not SECRET.exists():
        new = SECRET.with_suffix(".new")
        new.touch(mode=0o600)
        new.write_text(secrets.token_urlsafe(36))
        new.replace(SECRET)
    return SECRET.read_text()


def auth_database(url: str) -> str:
    """The URL of Better Auth's own database beside the one of this server URL; it never shares one with the tasks."""
    before, _, query = url.partition("?")
    connection = psycopg2.connect(url)
    connection.autocommit = True
    with (
        contextlib.closing(connection),
        connection.cursor() as cursor,
        contextlib.suppress(psycopg2.errors.DuplicateDatabase),
    ):
        cursor.execute(f"CREATE DATABASE {AUTH_DATABASE}")
    return f"{before.rpartition('/')[0]}/{AUTH_DATABASE}?{query}"


@contextlib.contextmanager
def better_auth(page: str, api: str, database_url: str) -> Iterator[None]:
    """The Node server, for the length of a `with`; if it ends by itself, this program is told to end too."""
    environment = {
        "BETTER_AUTH_URL": page,
        "BETTER_AUTH_SECRET": secret(),
        "DATABASE_URL": database_url,
        "API_URL": api,
    }
    node = subprocess.Popen(  # noqa: S603 - a fixed command
        ["node", "--input-type=module", "--eval", NODE],  # noqa: S607 - whichever Node.js the person has
        cwd=WEB,
        env={**os.environ, **environment},
        stdin=subprocess.PIPE,
        start_new_session=True,  # a terminal's Ctrl-C is for this program, which ends the child in its turn
    )
    leaving = threading.Event()

    def watch() -> None:
        node.wait()
        if not leaving.is_set():
            print("Better Auth has ended; its reason is above.", file=sys.stderr, flush=True)
            os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield
    finally:
        leaving.set()
        node.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            node.wait(STOP_SECONDS)
        node.kill()


def listen(port: int, option: str) -> socket.socket:
    """Before anything starts: a server that came later would be taken for ready when the older one answers."""
    try:
        return socket.create_server(("127.0.0.1", port))
    except OSError as error:
        raise StartupError(f"Port {port}: {os.strerror(error.errno or 0)}. Choose another with {option}.") from None


def main() -> None:
    """Serve until a signal ends it; no process is left then."""
    parser = argparse.ArgumentParser(
        prog="./scripts/demo.sh", description="Serve the example page, Better Auth, the API."
    )
    parser.add_argument("--page-port", type=int, default=3000, help="port of the page and of Better Auth (3000)")
    parser.add_argument("--api-port", type=int, default=8000, help="port of the API (8000)")
    arguments = parser.parse_args()
    for name in Settings.model_fields:  # what is set for another database or other tokens does not count here
        os.environ.pop(name.upper(), None)
    page, api = f"http://localhost:{arguments.page_port}", f"http://localhost:{arguments.api_port}"
    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGHUP, lambda *_: signal.raise_signal(signal.SIGTERM))  # the terminal was closed
    try:
        listen(arguments.page_port, "--page-port").close()  # Node.js takes it in a moment
        listening = listen(arguments.api_port, "--api-port")
        with embedded.joined(migrate=True) as url, better_auth(page, api, auth_database(url)):
            settings = Settings(_env_file=None, database_url=url, better_auth_url=page, cors_origins=(page,))
            server = uvicorn.Server(uvicorn.Config(create_app(settings), access_log=False))
            wait_for(page)  # the API fetches Better Auth's keys when it starts
            ready = READY.format(page=page, api=api)
            threading.Thread(target=announce, args=(ready, f"{api}/health/ready"), daemon=True).start()
            server.run(sockets=[listening])
    except StartupError as refusal:
        raise SystemExit(f"Refusing to start.\n{refusal}") from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
