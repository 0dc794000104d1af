"""A few of the kill runs: each must end as if it had never been killed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("kill_runs.py")


@pytest.mark.slow
def test_killed_runs_end_with_the_bits_of_undisturbed_ones(tmp_path: Path) -> None:
    out = tmp_path / "results.json"
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "--runs", "10", "--seed", "1", "--out", str(out)],
        env={**os.environ, "OMP_NUM_THREADS": "1", "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(out.read_text())
    assert found["runs"] == found["as_undisturbed"] == len(found["results"]) == 10
    assert found["killed_with_a_half_written_checkpoint"] >= 1, "none was torn in a save"
    assert found["two_processes"] >= 2
    assert found["workers_changed"] >= 1
    for run in found["results"]:
        assert run["ok"], run
        assert run["codes"] == [0] * run["ranks"]
        assert not run["differing"]
        assert not run["leftovers"]
    assert not list(tmp_path.glob("glcm-mae-*")), "left something behind"
