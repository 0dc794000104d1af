"""Which things belong together, when it is known which two do."""

from collections.abc import Iterable


def connected(count: int, pairs: Iterable[tuple[int, int]]) -> list[int]:
    """Give each of ``count`` things the number of the first one it is connected with.

    Args:
        count: Number of things.
        pairs: Two numbers each, of things that belong together.

    Returns:
        The least number in the component of each thing.

    Example:
        >>> connected(5, [(1, 3), (3, 4)])
        [0, 1, 2, 1, 1]
    """
    parents = list(range(count))

    def root(thing: int) -> int:
        while parents[thing] != thing:
            parents[thing] = parents[parents[thing]]
            thing = parents[thing]
        return thing

    for one, other in pairs:
        low, high = sorted((root(one), root(other)))
        parents[high] = low
    return [root(thing) for thing in range(count)]


def components(count: int, pairs: Iterable[tuple[int, int]]) -> tuple[tuple[int, ...], ...]:
    """Return the connected components of two things or more, each in ascending order.

    Example:
        >>> components(5, [(1, 3), (3, 4)])
        ((1, 3, 4),)
    """
    members: dict[int, list[int]] = {}
    for thing, first in enumerate(connected(count, pairs)):
        members.setdefault(first, []).append(thing)
    return tuple(tuple(part) for part in members.values() if len(part) > 1)
