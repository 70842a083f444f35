"""Positions: keys between any two others, that compare as text."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.app.domain import positions
from backend.app.domain.limits import ID_MAX
from backend.app.domain.positions import POSITION_CHARACTERS, NoRoomError

ids = st.integers(1, ID_MAX)
EDGES = (1, 2, 61, 62, 63, 3905, 3906, 3907, 242_234, 242_235, 2**53 - 1, ID_MAX - 1, ID_MAX)


@st.composite
def keys(draw: st.DrawFn) -> str:
    """A position that moves may make: a start, and then some moves beside it."""
    key = draw(st.sampled_from([positions.FIRST, "O0", "Oz", "Nzz", "a0", "az", "b00"]) | ids.map(positions.unmoved))
    for _ in range(draw(st.integers(0, 8))):
        beside = positions.between(key, None)
        key = draw(st.sampled_from([beside, positions.between(key, beside)]))
    return key


@given(ids, ids)
def test_unmoved_tasks_stand_newest_first(one: int, other: int) -> None:
    """And each has its place."""
    assert (positions.unmoved(one) < positions.unmoved(other)) is (one > other)


@pytest.mark.parametrize("task_id", EDGES)
def test_the_digits_are_carried_on(task_id: int) -> None:
    """Where ids get a digit more, the next one is still before it."""
    assert positions.id_of_cell(positions.unmoved(task_id)) == task_id
    assert task_id == 1 or positions.unmoved(task_id) < positions.unmoved(task_id - 1)


@given(keys(), keys())
def test_there_is_a_position_between_any_two(one: str, other: str) -> None:
    """One that may be imported; of equal ones there is none."""
    low, high = sorted((one, other))
    if low == high:
        with pytest.raises(NoRoomError):
            positions.between(low, high)
        return
    found = positions.between(low, high)

    assert low < found < high
    assert positions.is_position(found)


@given(keys())
def test_there_is_a_position_at_both_ends(key: str) -> None:
    """In front of a task and of all that are unmoved, and behind."""
    first, last = positions.before(key), positions.between(key, None)

    assert first < key < last
    assert first < positions.unmoved(ID_MAX)
    assert positions.is_position(first)
    assert positions.is_position(last)
    assert max(key, positions.unmoved(1)) < positions.behind(key)


def test_the_front_and_the_end_stay_short() -> None:
    """However often something is moved there."""
    front, end = positions.before(None), positions.behind(None)
    for _ in range(100_000):
        front, end = positions.before(front), positions.behind(end)

    assert (front, end) == ("M1xz2", "dPzzu") or len(front) <= 5 >= len(end)


@given(keys(), st.integers(1, 201), st.data())
def test_keys_are_spread_in_their_order(low: str, count: int, data: st.DataObject) -> None:
    """Between two, as many as are asked for, with room beside the one that moves."""
    place = data.draw(st.integers(0, count - 1))
    integer, end = positions.cell(low)
    above = positions.between(low, end)
    high = data.draw(st.none() | st.just(above))

    found = list(positions.spread(low, high, count, place))

    top = high or f"{integer}~"
    assert [low, *found, top] == sorted({low, *found, top})
    assert len(found) == count
    assert all(key.startswith(integer) and positions.is_position(key) for key in found)


@pytest.mark.parametrize(("low", "high"), [("NV0", "NV0"), ("NV1", "NV0")])
def test_nothing_is_spread_where_there_is_no_room(low: str, high: str) -> None:
    """Between equal positions, and such as are the wrong way round."""
    with pytest.raises(NoRoomError):
        positions.spread(low, high, 1, 0)


@given(keys() | st.text(max_size=20), ids)
def test_the_unmoved_tasks_after_any_text_are_known(key: str, task_id: int) -> None:
    """By the id that they are below, also for what no server made."""
    bound = positions.unmoved_after(key, task_id)

    assert bound == 1 or (positions.unmoved(bound - 1), bound - 1) > (key, task_id)
    assert bound == ID_MAX or not (positions.unmoved(bound), bound) > (key, task_id)


@pytest.mark.parametrize(
    "text",
    [
        *("", "N", "NV", "NV00", "NV0V0", "A00000000000000", "A" + "z" * 15, "z" + "0" * 26, "0", "9a", "~", "a", "a~"),
        *("Zz", "Y00", "Zz0", "NV0-", "NV0é", "NV0\n", " NV0", "NV0 ", "a0" + "V" * 95, "nv", "NV0\0"),
    ],
)
def test_what_no_move_makes_is_no_position(text: str) -> None:
    """Cut off, too long, with a zero at the end, other characters, and the places of unmoved tasks."""
    assert not positions.is_position(text)


@pytest.mark.no_cover  # twice as fast, and no line is reached by this alone
def test_many_moves_at_random_stay_short() -> None:
    """A model of 1,000 tasks that are moved 20,000 times: their order is the list's."""
    chance = random.Random(1)  # noqa: S311 - the same moves in every run
    order = [positions.unmoved(task_id) for task_id in range(1000, 0, -1)]
    longest = 0
    for _ in range(20_000):
        order.pop(chance.randrange(len(order)))
        place = chance.randrange(len(order) + 1)
        moved = [key for key in order[place:] if positions.is_position(key)]
        front = next((key for key in order if positions.is_position(key)), None)
        new = positions.between(order[place - 1], moved[0] if moved else None) if place else positions.before(front)
        order.insert(place, new)
        longest = max(longest, len(new))
        assert place == 0 or order[place - 1] < new
        assert place == len(order) - 1 or new < order[place + 1]

    assert longest <= POSITION_CHARACTERS // 4
