"""Locks that vanish with the process that holds them."""

import subprocess
import sys
from pathlib import Path

from glcm_mae.planning import locks
from glcm_mae.planning.locks import Locks

# The module alone: its package would bring torch along, which takes seconds.
HOLDER = f"""
import runpy, sys
from pathlib import Path
locks = runpy.run_path({locks.__file__!r})["Locks"](Path(sys.argv[1]))
print(locks.hold(int(sys.argv[2])), flush=True)
sys.stdin.read()
"""


def test_a_place_is_held_by_one_process_until_it_dies(tmp_path: Path) -> None:
    with (
        Locks(tmp_path) as ours,
        subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(tmp_path), "2"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as other,
    ):
        assert other.stdout is not None
        assert other.stdout.readline().strip() == "True"
        assert ours.held_elsewhere(2)
        assert not ours.hold(2)
        assert not ours.held_elsewhere(1)
        assert ours.hold(0)
        other.kill()
        other.wait()
        assert not ours.held_elsewhere(2)
        assert ours.hold(2)
        ours.wait(2)  # ours already: comes back at once


def test_a_place_that_is_given_back_is_free(tmp_path: Path) -> None:
    with Locks(tmp_path) as ours:
        assert ours.hold(3)
        command = [sys.executable, "-c", HOLDER, str(tmp_path), "3"]
        refused = subprocess.run(command, input="", capture_output=True, text=True, check=True)
        assert refused.stdout.strip() == "False"
        ours.release(3)
        given = subprocess.run(command, input="", capture_output=True, text=True, check=True)
        assert given.stdout.strip() == "True"
