"""examples/web as a person who copies it would check it: its types, its client, its packages."""

import json
import shutil
import subprocess
from pathlib import Path

from backend.app.config import PROJECT_ROOT

WEB = PROJECT_ROOT / "examples/web"
PATIENCE_SECONDS = 120.0

# An expected error that does not come is an error too.
CLIENT = """
import createClient from "openapi-fetch";
import type { paths } from "./schema";

const api = createClient<paths>({ baseUrl: "" });
const path = { user_id: "u1" };

const { data, error } = await api.POST("/api/{user_id}/tasks", { params: { path }, body: { title: "Buy milk" } });
const revision: number | undefined = data?.revision;
const detail: string | undefined = error?.detail;
const header = { "If-Match": `"${revision}"` };
const params = { path: { ...path, task_id: 1 }, header };
await api.PUT("/api/{user_id}/tasks/{task_id}", { params, body: { title: "Buy bread" } });

// @ts-expect-error there is no such path
api.GET("/api/{user_id}/task", { params: { path } });
// @ts-expect-error there is no such member
api.POST("/api/{user_id}/tasks", { params: { path }, body: { titel: "Buy milk" } });
// @ts-expect-error the user is missing
api.GET("/api/{user_id}/tasks");
// @ts-expect-error a task has no such member
data?.done;
export { detail };
"""


def npm(folder: Path, script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["npm", "run", "--silent", script],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )


def test_the_page_fits_the_api(web: Path) -> None:
    """src/schema.d.ts is made from docs/openapi.json as it is, and everything compiles under `tsc --strict`."""
    checked = npm(web, "check")

    assert checked.returncode == 0, (
        f"{checked.stdout}{checked.stderr}\nIf the types are not up-to-date: cd examples/web && npm run schema"
    )


def test_a_client_is_held_to_the_document(web: Path, tmp_path: Path) -> None:
    """openapi-typescript and openapi-fetch alone: what the API does not have does not compile, what it has does."""
    (tmp_path / "node_modules").symlink_to(web / "node_modules")
    shutil.copy(web / "src/schema.d.ts", tmp_path)
    (tmp_path / "client.ts").write_text(CLIENT)
    tsc = [str(web / "node_modules/.bin/tsc"), "--strict", "--noEmit", "--module", "esnext", "--target", "es2023"]

    compiled = subprocess.run(
        [*tsc, "--moduleResolution", "bundler", "--skipLibCheck", "client.ts"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )

    assert compiled.returncode == 0, compiled.stdout


def test_the_client(web: Path) -> None:
    """client.test.js: one renewal for several 401s, bodies sent again, rollback, nothing left of a closed list."""
    tested = npm(web, "test")

    assert tested.returncode == 0, tested.stdout


def test_packages_are_pinned_and_come_from_no_particular_registry() -> None:
    """Exact versions with hashes, so that everybody has the same ones, from whichever registry they use."""
    package = json.loads((WEB / "package.json").read_text())
    locked = json.loads((WEB / "package-lock.json").read_text())["packages"]
    wanted = {**package["dependencies"], **package["devDependencies"]}

    assert {name: locked[f"node_modules/{name}"]["version"] for name in wanted} == wanted
    assert [name for name, entry in locked.items() if name and "integrity" not in entry] == []
    assert [name for name, entry in locked.items() if "resolved" in entry] == []
