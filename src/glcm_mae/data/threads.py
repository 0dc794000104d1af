"""Many small pieces of work, shared out over threads."""

import os
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")

_AHEAD = 16  # pieces waiting per thread: enough to keep all busy, few enough for memory


def in_threads(
    work: Callable[[int], Result],
    count: int,
    progress: Callable[[int], None] | None = None,
) -> list[Result]:
    """Do numbered pieces of work in threads.

    Args:
        work: Called with each number below ``count``.
        count: Number of pieces.
        progress: Called in this thread with the number of each piece that is done.

    Returns:
        The results in order.

    Example:
        >>> in_threads(lambda number: number**2, 4)
        [0, 1, 4, 9]
    """
    results: list[Result] = []
    waiting: deque[Future[Result]] = deque()

    def collect() -> None:
        results.append(waiting.popleft().result())
        if progress is not None:
            progress(len(results) - 1)

    threads = os.cpu_count() or 1
    with ThreadPoolExecutor(threads) as pool:
        try:
            for number in range(count):
                waiting.append(pool.submit(work, number))
                if len(waiting) >= _AHEAD * threads:
                    collect()
            while waiting:
                collect()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return results
