"""Speed is under the handlers, in places that can be switched off: without them everything holds as well."""

from tests.conftest import PlainRun

SECONDS = 600


def test_the_suite_passes_without_the_lean_path_and_prepared_statements(plain_run: PlainRun) -> None:
    """Every other test of the application, taken the framework's own way, with every statement sent in full."""
    output, _ = plain_run.communicate(timeout=SECONDS)

    assert plain_run.returncode == 0, output[-5000:]
    assert " passed" in output
