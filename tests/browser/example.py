"""The example page with all that is behind it: Better Auth, the API, and a database for each."""

import contextlib
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.demo import NODE
from tests.support.postgres import Server
from tests.support.programs import SECRET, answers, clone, end, environment, free_port, serving, until

RUN = ["node", "--input-type=module", "--eval"]
# A second Better Auth with the first one's keys, which signs what it is told to.
SIGN = """
import { betterAuth } from "better-auth";
import { jwt } from "better-auth/plugins";
import pg from "pg";

const { BETTER_AUTH_URL: baseURL, BETTER_AUTH_SECRET: secret, DATABASE_URL: connectionString } = process.env;
const database = new pg.Pool({ connectionString });
const { api } = betterAuth({ baseURL, secret, database, plugins: [jwt()] });
const { token } = await api.signJWT({ body: { payload: JSON.parse(process.argv[1]) } });
process.stdout.write(token);
await database.end();
"""


@dataclass
class Example:
    """`page` and `api` are where they are: on hosts of two names, so that they have no cookie in common."""

    page: str
    api: str
    folder: Path
    settings: dict[str, str]
    serve_api: Callable[[], contextlib.AbstractContextManager[object]]
    serving_api: contextlib.ExitStack

    @contextlib.contextmanager
    def without_api(self) -> Iterator[None]:
        """Nothing listens where it was for the length of a `with`."""
        self.serving_api.close()
        try:
            yield
        finally:
            self.serving_api.enter_context(self.serve_api())

    def sign(self, claims: dict[str, Any]) -> str:
        """A token of Better Auth's own key."""
        command = [*RUN, SIGN, json.dumps(claims)]
        return subprocess.check_output(command, cwd=self.folder, env=self.settings, text=True, timeout=30)


@contextlib.contextmanager
def running(folder: Path, web: Path, server: Server) -> Iterator[Example]:
    """Build the page in a clone, and serve it with all that is behind it."""
    project, page_port, api_port = clone(folder), free_port(), free_port()
    page, api = f"http://localhost:{page_port}", f"http://127.0.0.1:{api_port}"
    with server.new_database(migrated=False) as people, server.new_database() as tasks:
        auth_settings = {"BETTER_AUTH_URL": page, "BETTER_AUTH_SECRET": SECRET, "API_URL": api}
        auth_settings = environment(**auth_settings, DATABASE_URL=server.database_url(people))
        # No secret: the tokens are signed with Better Auth's own keys.
        api_settings = {"BETTER_AUTH_URL": page, "BETTER_AUTH_SECRET": "", "CORS_ORIGINS": page}
        api_settings["DATABASE_URL"] = server.database_url(tasks, "tasks_login")

        def serve_api() -> contextlib.AbstractContextManager[object]:
            return serving(project, api_port, **api_settings)

        copy = build(web, project / "examples/web")
        with better_auth(copy, page_port, auth_settings), contextlib.ExitStack() as serving_api:
            serving_api.enter_context(serve_api())
            yield Example(page, api, copy, auth_settings, serve_api, serving_api)


def build(web: Path, copy: Path) -> Path:
    """The folder with the page as its source is now, whatever was built in the original."""
    shutil.copytree(web, copy, ignore=shutil.ignore_patterns("node_modules", "dist"))
    (copy / "node_modules").symlink_to(web / "node_modules")
    subprocess.run(["npm", "run", "--silent", "build", "--", "--logLevel", "warn"], cwd=copy, check=True, timeout=60)
    return copy


@contextlib.contextmanager
def better_auth(folder: Path, port: int, settings: dict[str, str]) -> Iterator[None]:
    # The pipe closes with this process, however that ends, and Node.js ends with the pipe.
    with subprocess.Popen([*RUN, NODE], cwd=folder, env=settings, stdin=subprocess.PIPE) as node:
        try:
            until(lambda: answers(port, "/") or node.poll() is not None)
            assert node.poll() is None
            yield
        finally:
            end(node)
