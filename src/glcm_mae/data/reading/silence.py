"""Libraries that warn and log while they read: what they say may hold a patient's name."""

import logging
import threading
import warnings

_LOGGERS = (
    "pydicom",
    "pylibjpeg",
    "openjpeg",
    "nibabel",
    "nibabel.global",
    "nibabel.batteryrunners",
)


class _Silence(logging.Filter):
    """Keep warnings and log records of the reading libraries from being shown, in all threads.

    ``warnings.catch_warnings`` restores the wrong filters when threads overlap: here the
    first to enter sets them and the last to leave restores them. Log records are filtered:
    to change a logger's level at every image would cost more than to decode it.
    """

    def __init__(self) -> None:
        super().__init__()
        self._lock, self._depth = threading.Lock(), 0
        for name in _LOGGERS:
            logging.getLogger(name).addFilter(self)

    def filter(self, record: logging.LogRecord) -> bool:
        """Let a record pass only while nothing is read."""
        del record
        return self._depth == 0

    def __enter__(self) -> None:
        with self._lock:
            if self._depth == 0:
                self._filters = warnings.catch_warnings()
                self._filters.__enter__()
                warnings.simplefilter("ignore")
            self._depth += 1

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._depth -= 1
            if self._depth == 0:
                self._filters.__exit__(None, None, None)


silence = _Silence()
"""Context in which medical files are read."""
