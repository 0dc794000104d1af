"""Signals that ask a run to stop: it finishes its step, saves, and ends."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self

from glcm_mae.launching import supervised

STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
"""Signals after which a run saves and ends; the exit code is 128 plus their number."""


class StopSignals:
    """Notes the signals that arrive while it is entered; the second one ends at once.

    The handler only sets a mark: whoever trains looks at it between two steps. Under a
    supervisor, which itself ends all at the second signal, further ones change nothing: a
    batch system may signal both.

    Example:
        >>> with StopSignals() as stop:
        ...     signal.raise_signal(signal.SIGTERM)
        ...     stop.arrived
        <Signals.SIGTERM: 15>
    """

    def __init__(self) -> None:
        self.arrived: signal.Signals | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = {sign: signal.signal(sign, self._note) for sign in STOPPING}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._restore()

    def _restore(self) -> None:
        for sign, handler in self._before.items():
            signal.signal(sign, handler)
        self._before = {}

    def _note(self, number: int, frame: FrameType | None) -> None:
        del frame
        if self.arrived is None:
            self.arrived = signal.Signals(number)
            return
        if supervised():
            return
        self._restore()
        signal.raise_signal(number)  # to this thread: os.kill may reach another, and too late
