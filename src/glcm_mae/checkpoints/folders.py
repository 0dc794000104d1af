"""The checkpoints of a run: written, kept, removed, and found again.

A folder ``checkpoints/`` holds ``step-0000000123/`` and the like, each with::

    model.safetensors    one file a group of tensors; sharded, shard-*.safetensors
    optimizer.safetensors
    state.json           step, facts, rank, kinds of the tensors
    manifest.json        size and SHA-256 of every file, written last
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from torch import Tensor

from glcm_mae.checkpoints.manifest import DamageError, write_flushed, write_manifest
from glcm_mae.checkpoints.pieces import SUFFIX, is_shard
from glcm_mae.checkpoints.sharded import write_shards
from glcm_mae.checkpoints.state import STATE, describe, group_of, read_state
from glcm_mae.checkpoints.step_folder import StepFolder, step_name
from glcm_mae.distributed import agree, on_main, ranks
from glcm_mae.errors import InputError
from glcm_mae.files import (
    TEMPORARY,
    discard,
    flush_folder,
    free_bytes,
    partial_name,
    unwritable,
)
from glcm_mae.progress import say
from glcm_mae.tensor_file import stored_bytes, write_tensors

_STEP = re.compile(r"step-\d{10,}")
_PARTIAL = re.compile(_STEP.pattern + re.escape(TEMPORARY))


class Checkpoints:
    """The checkpoints of a run.

    Where several processes train together, all of them call :meth:`save` and
    :meth:`newest`; rank 0 verifies, removes and tells.

    Args:
        folder: Where the step folders are; made when the first is saved.
        keep: How many of the newest are kept.
        keep_best: Keep the one of the highest rank besides.

    Example:
        >>> import tempfile, torch
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     checkpoints = Checkpoints(Path(folder), keep=1)
        ...     for step in (10, 20):
        ...         path = checkpoints.save(step, {"model/bias": torch.ones(2)}, {"epoch": 1})
        ...     newest = checkpoints.newest()
        ...     newest.step, newest.facts, newest.read("model", torch.device("cpu"))
        (20, {'epoch': 1}, {'bias': tensor([1., 1.])})
    """

    def __init__(self, folder: Path, *, keep: int = 2, keep_best: bool = True) -> None:
        if keep < 1:
            raise ValueError(f"keep must be at least 1, got {keep}")
        self.folder = folder
        self.keep = keep
        self.keep_best = keep_best

    def sweep(self) -> None:
        """Remove what writes left that died; one process calls it, before any saves.

        Raises:
            InputError: If something cannot be removed.
        """
        for leftover in self._entries():
            if leftover.name.endswith(TEMPORARY):
                try:
                    discard(leftover)
                except OSError as error:
                    raise InputError(
                        f"{leftover}: cannot be removed ({error.strerror}); remove it"
                    ) from error

    def check_space(self, tensors: Mapping[str, Tensor]) -> None:
        """Refuse to start a run whose checkpoints will not fit on the disk.

        Those of the run that are there already count as room, for they make way.

        Raises:
            InputError: If there is no room for all that are kept and one being written.
        """
        needed = (self.keep + self.keep_best + 1) * stored_bytes(tensors)
        free = free_bytes(self.folder)
        held = sum(
            path.stat().st_size for step in self._steps() for path in step.glob("*" + SUFFIX)
        )
        if free + held < needed:
            raise InputError(
                f"{self.folder}: checkpoints need {needed - held} bytes, {free} are free; free "
                "space, choose another --out, or keep fewer"
            )

    def save(
        self,
        step: int,
        tensors: Mapping[str, Tensor],
        facts: Mapping[str, Any],
        *,
        rank: Sequence[float] | None = None,
    ) -> Path:
        """Save a checkpoint; it is there whole, or the ones before it are all there is.

        A step that is there already and whole stays as it is. Older ones that are no longer
        kept are removed once the new one is on the disk.

        Args:
            step: The optimiser steps done.
            tensors: By name, "group/rest"; plain ones are those of rank 0, DTensors
                (FSDP2) are written by all processes.
            facts: Plain values, as JSON has them.
            rank: How good it is, for keeping the best; higher is better, in the order of
                a tuple, and of two alike the later one.

        Returns:
            The folder of the step.

        Raises:
            InputError: On all processes, if it cannot be written; nothing of it is left.
        """
        content = describe(step, tensors, facts, rank)
        final = self.folder / step_name(step)
        present = on_main(lambda: float(_is_whole(final)))
        if agree([present or 0.0]) == [1.0]:
            return final
        if any(is_shard(tensor) for tensor in tensors.values()):
            self._save_shards(final, tensors, content)
        else:
            on_main(lambda: self._save_whole(final, tensors, content))
        on_main(lambda: self._prune(step))
        return final

    def newest(self) -> StepFolder | None:
        """Return the newest checkpoint that is whole, to the bit; None if there is none yet.

        A damaged one is told, and the one before it is taken.

        Raises:
            InputError: On all processes, if there are checkpoints and none is whole.
        """
        found = on_main(self._newest)
        # One process decides: two that disagree would train apart.
        (step,) = agree([found.step if found else -1.0])
        if step < 0 or ranks().main:
            return found
        path = self.folder / step_name(int(step))
        try:
            return StepFolder.open(path, trusted=True)
        except DamageError as error:
            raise InputError(
                f"{path}: rank {ranks().rank} cannot read it ({error}); all nodes must share "
                "the file system of --out"
            ) from error

    # -- writing ----------------------------------------------------------------------

    def _save_whole(self, final: Path, tensors: Mapping[str, Tensor], content: bytes) -> None:
        with _writing(final, stored_bytes(tensors)):
            self._begin(final)
            for group in sorted({group_of(name) for name in tensors}):
                members = {name: tensors[name] for name in tensors if group_of(name) == group}
                write_tensors(partial_name(final) / (group + SUFFIX), members)
            self._finish(final, content)

    def _save_shards(self, final: Path, tensors: Mapping[str, Tensor], content: bytes) -> None:
        size = stored_bytes(tensors)

        def begin() -> None:
            with _writing(final, size):
                self._begin(final)

        def finish() -> None:
            with _writing(final, size):
                self._finish(final, content)

        on_main(begin)
        with _writing(final, size):
            write_shards(partial_name(final), tensors)
        on_main(finish)

    def _begin(self, final: Path) -> None:
        if not self.folder.is_dir():
            self.folder.mkdir(parents=True)
            flush_folder(self.folder.parent)
        discard(partial_name(final))
        discard(final)  # it may be there damaged
        partial_name(final).mkdir()

    def _finish(self, final: Path, content: bytes) -> None:
        partial = partial_name(final)
        write_flushed(partial / STATE, content)
        write_manifest(partial)
        flush_folder(partial)
        partial.rename(final)
        flush_folder(self.folder)

    def _prune(self, step: int) -> None:
        """Remove what is not kept; failing is no reason to stop, for the new one is whole."""
        path = self.folder
        try:
            for path in self._superfluous(step):
                discard(path)
        except OSError as error:
            say(f"{path}: old checkpoints cannot be removed ({error.strerror})")

    def _superfluous(self, step: int) -> list[Path]:
        """Return what is not kept once a step is saved.

        Later steps are what the run could not read when it went back to an earlier one;
        partial ones are what could not be removed in full before.
        """
        steps = self._steps()
        upto = [path for path in steps if _number(path) <= step]
        kept = set(upto[-self.keep :])
        merits = [(merit, path) for path in upto if (merit := _merit(path)) is not None]
        if self.keep_best and merits:
            kept.add(max(merits, key=lambda pair: (pair[0], _number(pair[1])))[1])
        partial = [path for path in self._entries() if _PARTIAL.fullmatch(path.name)]
        return [*partial, *(path for path in steps if path not in kept)]

    # -- finding ----------------------------------------------------------------------

    def _newest(self) -> StepFolder | None:
        steps = self._steps()
        for path in reversed(steps):
            try:
                return StepFolder.open(path)
            except DamageError as error:
                turn = "" if path == steps[0] else "; going back to the checkpoint before it"
                say(f"{path}: is damaged ({error}){turn}")
        if steps:
            raise InputError(
                f"{self.folder}: none of its {len(steps)} checkpoints is whole; bring one back "
                "from a copy, or start anew with another --out"
            )
        return None

    def _steps(self) -> list[Path]:
        """Return the step folders, the oldest first; links are none."""
        found = [path for path in self._entries() if _STEP.fullmatch(path.name)]
        return sorted(
            (path for path in found if path.is_dir() and not path.is_symlink()), key=_number
        )

    def _entries(self) -> list[Path]:
        try:
            return sorted(self.folder.iterdir())
        except FileNotFoundError:
            return []
        except OSError as error:
            raise InputError(
                f"{self.folder}: cannot be read ({error.strerror}); check its permissions"
            ) from error


@contextmanager
def _writing(final: Path, size: int) -> Iterator[None]:
    """Tell an error in one line, and give back the space of what is not whole."""
    try:
        yield
    except BaseException as error:
        if ranks().main:
            with suppress(OSError):
                discard(partial_name(final))
        if isinstance(error, OSError):
            raise unwritable(final, error, needed=size) from error
        raise


def _number(path: Path) -> int:
    return int(path.name.removeprefix("step-"))


def _merit(path: Path) -> tuple[float, ...] | None:
    try:
        return read_state(path).merit
    except DamageError as error:
        if isinstance(error.__cause__, OSError):
            raise error.__cause__ from error  # it may be the best: it must not be removed
        return None


def _is_whole(path: Path) -> bool:
    try:
        StepFolder.open(path)
    except DamageError:
        return False
    return True
