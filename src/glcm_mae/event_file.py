"""TensorBoard's event files, without the name of the machine in theirs."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from glcm_mae.files import unwritable


class EventFile:
    """Writes scalars for TensorBoard.

    TensorFlow's and PyTorch's own writers put the host name into the name of the file,
    and a run folder that is passed on must not tell it.

    Args:
        folder: Gets the file; created if it is not there.
        first_step: Steps from this one on in earlier files of the folder are void.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     events = EventFile(Path(folder), first_step=0)
        ...     events.add({"loss": 0.5}, step=0)
        ...     [file.name.split(".")[:3] for file in Path(folder).iterdir()]
        [['events', 'out', 'tfevents']]
    """

    def __init__(self, folder: Path, *, first_step: int) -> None:
        from tensorboard.compat.proto.event_pb2 import SessionLog

        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unwritable(folder, error) from error
        self._path = folder / f"events.out.tfevents.{time.time_ns()}"
        self._write(file_version="brain.Event:2")
        self._write(step=first_step, session_log=SessionLog(status=SessionLog.START))

    def _write(self, **content: Any) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.summary.writer.record_writer import RecordWriter

        event = Event(wall_time=time.time(), **content)
        try:
            with self._path.open("ab") as file:  # a run may end at any time
                RecordWriter(file).write(event.SerializeToString())
        except OSError as error:
            raise unwritable(self._path, error) from error

    def add(self, values: Mapping[str, float], *, step: int) -> None:
        """Write the numbers of one step."""
        from tensorboard.compat.proto.summary_pb2 import Summary

        numbers = [
            Summary.Value(tag=name, simple_value=value) for name, value in values.items()
        ]
        self._write(step=step, summary=Summary(value=numbers))
