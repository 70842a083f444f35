"""`deploy/tasks@.service` as systemd reads it."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.proxy import DEPLOY, Process, unit_command
from tests.support.postgres import Server

UNIT = (DEPLOY / "tasks@.service").read_text()
# Of 10; what is left is that the API speaks TCP.
MOST_EXPOSURE = 1.5

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed (apt-get install systemd)"
)


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit where its programs are."""
    programs = tmp_path / "opt/tasks/.venv/bin"
    programs.mkdir(parents=True)
    for name in ("uvicorn", "python"):
        (programs / name).symlink_to("/bin/true")
    template = tmp_path / "tasks@.service"
    template.write_text(UNIT.replace("/opt/tasks", f"{tmp_path}/opt/tasks"))
    return tmp_path / "tasks@8001.service"


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, check=False)


@needs_systemd
def test_systemd_understands_every_line(unit: Path) -> None:
    """And would say so if it did not."""
    good = analyze("verify", str(unit))
    template = unit.with_name("tasks@.service")
    template.write_text(template.read_text().replace("ProtectSystem=strict", "ProtectSistem=strict"))
    bad = analyze("verify", str(unit))

    assert (good.returncode, good.stdout, good.stderr) == (0, "", "")
    assert "ProtectSistem" in bad.stderr


@needs_systemd
def test_little_is_left_to_whoever_takes_the_process_over(unit: Path) -> None:
    """systemd's own measure."""
    measured = analyze("security", "--offline=true", f"--threshold={MOST_EXPOSURE * 10:.0f}", str(unit))

    assert measured.returncode == 0, measured.stdout[-500:]


def test_only_nginx_is_believed_about_addresses() -> None:
    """The unit listens for this machine alone, and says whom X-Forwarded-For is believed from."""
    command = unit_command(8001)

    assert command[command.index("--host") + 1] == "127.0.0.1"
    assert command[command.index("--forwarded-allow-ips") + 1] == "127.0.0.1"


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's own switch, which only Linux has")
def test_it_runs_without_memory_that_is_written_and_executed(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """MemoryDenyWriteExecute: no package of ours makes code while it runs. The kernel forbids it as systemd does."""
    assert re.search("^MemoryDenyWriteExecute=yes$", UNIT, re.MULTILINE)
    confine = (
        "import ctypes, os, sys; libc = ctypes.CDLL(None, use_errno=True); "
        "libc.prctl(65, 1, 0, 0, 0) and sys.exit('not known here'); "
        "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    )
    if subprocess.run([sys.executable, "-c", confine, "-c", ""], check=False, stderr=subprocess.DEVNULL).returncode:
        pytest.skip("this kernel has no PR_SET_MDWE (Linux 6.3)")
    monkeypatch.setattr(
        "tests.deploy.proxy.unit_command", lambda port: [sys.executable, "-c", confine, *unit_command(port)[1:]]
    )
    with server.new_database() as name:
        process = Process({"DATABASE_URL": server.database_url(name, "tasks_login")})
        process.start()
        process.end()

    assert process.running.returncode in (0, -15)
