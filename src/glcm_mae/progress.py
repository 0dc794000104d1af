"""Progress on the terminal: a bar where there is one, now and then a line where not."""

import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

console = Console(stderr=True)
"""Where progress and notes go; tables of results go to standard output."""

LINE_EVERY = 30.0
"""Seconds between two lines where there is no terminal (a batch system's log)."""


class Meter:
    """Shows how far a stage has come, how fast it is, and its latest numbers.

    Args:
        title: What is being done.
        total: Images to go through in all.
        done: Images already gone through, when a run is continued.
        unit: What is counted, if not images.
    """

    def __init__(self, title: str, *, total: int, done: int = 0, unit: str = "images") -> None:
        self.title = title
        self.unit = unit
        self.total = total
        self.done = done
        self._start = self._last_line = time.monotonic()
        self._first = done
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TextColumn("{task.fields[speed]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self._task = self._bar.add_task(title, total=total, completed=done, speed="", note="")

    @property
    def rate(self) -> float:
        """Images per second since this meter began."""
        return (self.done - self._first) / max(time.monotonic() - self._start, 1e-9)

    def reach(self, done: int, total: int) -> None:
        """Tell how many are done of a total that is known only now."""
        self.total = total
        self._bar.update(self._task, total=total)
        self.advance(done - self.done)

    def advance(self, images: int, note: str = "") -> None:
        """Count images done, and show the latest numbers."""
        self.done += images
        self._bar.update(
            self._task, advance=images, speed=f"{self.rate:.0f} {self.unit}/s", note=note
        )
        now = time.monotonic()
        if not console.is_terminal and now - self._last_line >= LINE_EVERY:
            self._last_line = now
            left = (self.total - self.done) / max(self.rate, 1e-9)
            console.print(
                f"{self.title}: {self.done}/{self.total} {self.unit}, "
                f"{self.rate:.0f} {self.unit}/s, "
                f"{left:.0f} s left {note}",
                highlight=False,
                soft_wrap=True,
            )

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()


def say(text: str) -> None:
    """Print one note for the user."""
    console.print(text, highlight=False, soft_wrap=True, markup=False)
