"""The ladder of imports, as pyproject.toml states it under [tool.importlinter]."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_no_contract_of_the_ladder_is_broken() -> None:
    lint = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    # In a process of its own: the import hook of the tests must not meet the linter.
    result = subprocess.run(
        [sys.executable, "-c", lint, "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert " 0 broken" in result.stdout, result.stdout
