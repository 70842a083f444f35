"""docs/errors.md, which people read when they meet a problem, is what the classes say."""

import pytest

from backend.app.problems import BatchOperationFailed, Problem
from scripts import errors


def test_the_page_is_up_to_date() -> None:
    """Whoever adds a problem, or rewords one, writes the page anew."""
    if errors.FILE.read_text(encoding="utf-8") != errors.page():
        pytest.fail("docs/errors.md is out of date. Write it anew: .venv/bin/python -m scripts.errors")


@pytest.mark.parametrize("problem", [*errors.problem_types(), BatchOperationFailed])
def test_every_class_says_its_own_cause_and_remedy(problem: type[Problem]) -> None:
    """In sentences, and not its parent's; the page has both."""
    own = vars(problem)

    assert all(own[name][0].isupper() and own[name].endswith(".") for name in ("cause", "remedy"))
    assert own["cause"] in errors.page()
    assert own["remedy"] in errors.page()
