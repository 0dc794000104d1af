"""The shards of a model that several processes hold together, written by all of them.

torch's distributed checkpoint decides which process writes what, once each, and writes
safetensors: no pickle and no index that would need one.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from glcm_mae.checkpoints.state import group_of


def write_shards(folder: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write this process's part of all tensors, flushed; every process must call it.

    Plain tensors must be the same on all of them; one writes them.

    Raises:
        OSError: On every process, if the part of any of them cannot be written.
    """
    # Imported where several processes save, for it takes as long as all else of a checkpoint.
    from torch.distributed.checkpoint.api import CheckpointException
    from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageWriter
    from torch.distributed.checkpoint.state_dict_saver import save

    groups = sorted({group_of(name) for name in tensors})
    numbers = {name: groups.index(group_of(name)) + 1 for name in tensors}
    writer = HuggingFaceStorageWriter(
        str(folder), fqn_to_index_mapping=numbers, save_distributed=True
    )
    try:
        with torch.no_grad():
            save(
                {name: tensor.detach().contiguous() for name, tensor in tensors.items()},
                storage_writer=writer,
            )
    except CheckpointException as failure:
        raise _system_error(failure.failures) from failure


def _system_error(failures: Mapping[int, tuple[BaseException, Any]]) -> Exception:
    """Return what the system answered to the first process that failed."""
    rank, (error, _) = min(failures.items(), key=lambda item: item[0])
    if isinstance(error, OSError) and error.errno is not None:
        return OSError(error.errno, f"{os.strerror(error.errno)} on rank {rank}")
    return RuntimeError(f"rank {rank} could not write its shards: {error!r}")
