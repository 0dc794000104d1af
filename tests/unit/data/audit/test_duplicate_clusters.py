"""Connected components: laws that hold whatever the pairs are."""

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from glcm_mae.data.audit.clusters import components, connected

COUNTS = st.integers(1, 12)


@st.composite
def things(draw: st.DrawFn) -> tuple[int, list[tuple[int, int]]]:
    count = draw(COUNTS)
    number = st.integers(0, count - 1)
    return count, draw(st.lists(st.tuples(number, number), max_size=15))


@settings(max_examples=40)
@given(things())
def test_pairs_are_in_one_component_and_its_name_is_its_least(
    drawn: tuple[int, list[tuple[int, int]]],
) -> None:
    count, pairs = drawn
    names = connected(count, pairs)
    assert all(names[a] == names[b] for a, b in pairs)
    for thing, name in enumerate(names):
        assert name <= thing
        assert names[name] == name


@settings(max_examples=40)
@given(things())
def test_things_of_one_component_are_reached_from_each_other(
    drawn: tuple[int, list[tuple[int, int]]],
) -> None:
    count, pairs = drawn
    for part in components(count, pairs):
        reached, border = {part[0]}, {part[0]}
        while border:
            steps = {b for a, b in pairs if a in border} | {a for a, b in pairs if b in border}
            border = steps - reached
            reached |= steps
        assert reached == set(part)


@settings(max_examples=40)
@given(things(), st.randoms(use_true_random=False))
def test_the_order_of_the_pairs_does_not_matter(
    drawn: tuple[int, list[tuple[int, int]]], random: Random
) -> None:
    count, pairs = drawn
    mixed = [pair if random.random() < 0.5 else pair[::-1] for pair in pairs]
    random.shuffle(mixed)
    assert components(count, pairs) == components(count, mixed)
    parts = components(count, pairs)
    assert sum(map(len, parts)) == len({thing for part in parts for thing in part})
    assert all(len(part) > 1 for part in parts)
