"""Starting the processes of a run on this machine, and watching them.

Nothing here imports torch, so that a supervisor is small and cannot fail as its ranks do.
"""

from glcm_mae.launching.heartbeat import beat, launched, supervised
from glcm_mae.launching.place import Place, find_place
from glcm_mae.launching.supervisor import FINAL_CODES, supervise

__all__ = [
    "FINAL_CODES",
    "Place",
    "beat",
    "find_place",
    "launched",
    "supervise",
    "supervised",
]
