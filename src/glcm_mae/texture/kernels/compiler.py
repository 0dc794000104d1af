"""How numba compiles the project's loops: without the interpreter's lock, and kept on disk.

Numba takes what it kept for stale when the file of the called function has changed, but not
when a file has whose functions that one calls: after editing a loop, ``make clean-loops``.
"""

import inspect
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

Loop = TypeVar("Loop", bound=Callable[..., Any])


def compiled(loop: Loop) -> Loop:
    """Compile a loop on its first call; later processes read it from the disk.

    Threads run it side by side. Division by zero gives infinity, as in NumPy. Where
    no folder can be written (a read-only installation without a home), every process
    compiles anew.

    Args:
        loop: A function in the part of Python that numba compiles.

    Returns:
        The function, to be called in the same way.

    Example:
        >>> @compiled
        ... def total(numbers):
        ...     result = 0
        ...     for number in numbers:
        ...         result += number
        ...     return result
        >>> total((1, 2, 3))
        6
    """
    plain = inspect.unwrap(loop)  # without the type check that the tests put around it
    options = {"nogil": True, "error_model": "numpy"}
    try:
        return cast("Loop", numba.njit(cache=True, **options)(plain))
    except RuntimeError:  # numba found no folder for its cache
        return cast("Loop", numba.njit(**options)(plain))
