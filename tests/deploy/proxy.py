"""nginx with the configuration in `deploy/nginx`, in front of API processes that are started as `deploy/`
starts them."""

import contextlib
import os
import re
import resource
import shlex
import shutil
import ssl
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from backend.app.config import PROJECT_ROOT
from tests.support.programs import PATIENCE_SECONDS, SECRET, answers, environment, free_port, until
from tests.support.tokens import token

DEPLOY = PROJECT_ROOT / "deploy"
# Of whose pages nginx says that they may read its own refusals.
ORIGINS = ("https://app.example.com", "https://other.example.com:8443")
NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")

needs_nginx = pytest.mark.skipif(
    NGINX is None or shutil.which("openssl") is None, reason="nginx is not installed (apt-get install nginx openssl)"
)


def unit_command(port: int) -> list[str]:
    """What the systemd unit starts, with this Python's packages."""
    unit = (DEPLOY / "tasks@.service").read_text().replace("\\\n", " ").replace("%i", str(port))
    program, *arguments = shlex.split(re.findall(r"^ExecStart=(.+)$", unit, re.MULTILINE)[0])
    return [sys.executable, "-m", Path(program).name, *arguments]


class Process:
    """An API process on a port of its own, which can be ended and started again."""

    def __init__(self, settings: dict[str, str]) -> None:
        self.port = free_port()
        self.settings = settings

    def start(self) -> None:
        values = {"BETTER_AUTH_SECRET": SECRET, "LOG_LEVEL": "warning", **self.settings}
        self.running = subprocess.Popen(
            unit_command(self.port), cwd=PROJECT_ROOT, env=environment(**values), stderr=subprocess.DEVNULL
        )
        until(lambda: self.running.poll() is not None or answers(self.port))
        assert self.running.poll() is None

    def end(self) -> None:
        self.running.terminate()
        try:
            self.running.wait(PATIENCE_SECONDS)
        finally:
            self.running.kill()


@contextlib.contextmanager
def processes(count: int, **settings: str) -> Iterator[list[Process]]:
    started: list[Process] = []
    try:
        for _ in range(count):
            started.append(Process(settings))
            started[-1].start()
        yield started
    finally:
        for process in started:
            process.end()


@dataclass(frozen=True)
class Proxy:
    """The address of a running nginx, and what its certificate is verified with."""

    port: int
    plain_port: int
    tls: ssl.SSLContext
    folder: Path

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def client(self, user_id: str | None = None, *, address: str = "127.0.0.1") -> httpx.AsyncClient:
        """A client of this user (or of nobody) whose connections come from this address."""
        headers = {} if user_id is None else {"Authorization": f"Bearer {token(user_id, secret=SECRET)}"}
        limits = httpx.Limits(max_connections=100, max_keepalive_connections=100)
        transport = httpx.AsyncHTTPTransport(verify=self.tls, local_address=address, limits=limits)
        return httpx.AsyncClient(transport=transport, base_url=self.url, headers=headers, timeout=PATIENCE_SECONDS)


def configured(folder: Path, ports: tuple[int, int], upstreams: list[int], changes: dict[str, str]) -> None:
    """The shipped files, with nothing else changed than the places and ports (and what the test says)."""
    plain, secure = ports
    text = (DEPLOY / "nginx/nginx.conf").read_text()
    for shipped, here in {
        "pid /run/nginx.pid;": f"pid {folder}/nginx.pid;",
        "/var/log/nginx/": f"{folder}/",
        "listen 80 ": f"listen 127.0.0.1:{plain} ",
        "listen 443 ": f"listen 127.0.0.1:{secure} ",
        "        listen [::]:80 default_server;\n": "",
        "        listen [::]:443 ssl http2 default_server;\n": "",
        **changes,
    }.items():
        assert shipped in text, shipped
        text = text.replace(shipped, here)
    places = "".join(f"    {kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy"))
    (folder / "nginx.conf").write_text(text.replace("http {\n", f"http {{\n{places}", 1))
    (folder / "cors.conf").write_text(f'map "" $cors_origins {{ default "{", ".join(ORIGINS)}"; }}\n')
    servers = re.findall(r"^server 127\.0\.0\.1:\d+ (.+)$", (DEPLOY / "nginx/upstream.conf").read_text(), re.MULTILINE)
    (folder / "upstream.conf").write_text(
        "".join(f"server 127.0.0.1:{port} {options}\n" for port, options in zip(upstreams, servers, strict=True))
    )


@contextlib.contextmanager
def proxy(folder: Path, upstreams: list[int], **changes: str) -> Iterator[Proxy]:
    """nginx in front of these ports. `changes` shortens its times: `client_header_timeout="1s"`."""
    plain, secure = free_port(), free_port()
    shipped = (DEPLOY / "nginx/nginx.conf").read_text()
    replaced = {}
    # What a test's own limit on open files allows.
    changes = {"worker_rlimit_nofile": str(resource.getrlimit(resource.RLIMIT_NOFILE)[0]), **changes}
    for name, value in changes.items():
        [line] = re.findall(rf"^ *{name} [^;]+;$", shipped, re.MULTILINE)
        replaced[line] = f"    {name} {value};"
    configured(folder, (plain, secure), upstreams, replaced)
    (folder / "tls").mkdir()
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1",
         "-keyout", folder / "tls/privkey.pem", "-out", folder / "tls/fullchain.pem"],
        check=True, capture_output=True,
    )  # fmt: skip
    # As root it would look for its files as somebody who may not enter the test's folder.
    directives = "daemon off;" + (" user root;" if os.geteuid() == 0 else "")
    command = [str(NGINX), "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")]
    with subprocess.Popen([*command, "-g", directives], stderr=subprocess.DEVNULL) as running:
        try:
            context = ssl.create_default_context(cafile=str(folder / "tls/fullchain.pem"))
            answering = Proxy(secure, plain, context, folder)
            until(lambda: running.poll() is not None or listens(answering))
            assert running.poll() is None, (folder / "error.log").read_text()
            yield answering
        finally:
            running.terminate()


def listens(there: Proxy) -> bool:
    with contextlib.suppress(httpx.HTTPError):
        httpx.get(f"{there.url}/health", verify=there.tls)
        return True
    return False
