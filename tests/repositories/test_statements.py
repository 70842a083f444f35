"""What holds for all statements of the repositories, whatever they do."""

import re
from collections import Counter

from tests.support.statements import prepared

# How a list is given its next revision.
NEW_REVISION = re.compile(
    r"revision ?= ?\((public\.)?task_lists\.revision \+|UPDATE (public\.)?task_lists SET (.* )?revision=%\(revision\)s"
)


def test_statements_that_give_a_revision_say_so() -> None:
    """`bumps_revision` is what metrics count by: the statement's text shows whether it writes one."""
    for statement in prepared():
        writes = NEW_REVISION.search(statement.text) is not None

        assert statement.bumps_revision is writes, statement.name


def test_no_two_statements_have_one_name() -> None:
    """They could not be told apart in traces and metrics."""
    names = Counter(statement.name for statement in prepared())

    assert {name for name, count in names.items() if count > 1} == set()
