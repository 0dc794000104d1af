"""Comparison of finished runs: paired tests on the same images and folds."""

from glcm_mae.comparison.comparing import Comparison, PairComparison, compare_runs
from glcm_mae.comparison.report import (
    HEADINGS,
    format_csv,
    format_latex,
    format_markdown,
    rows_of,
    verdicts,
)
from glcm_mae.config import CompareConfig
from glcm_mae.files import write_atomically
from glcm_mae.runs import CONFIG_FILE, check_run_folder, dump_config, write_json

__all__ = [
    "HEADINGS",
    "Comparison",
    "PairComparison",
    "compare",
    "compare_runs",
    "rows_of",
    "verdicts",
]


def compare(config: CompareConfig) -> Comparison:
    """Compare finished runs, and write what was found.

    The folder gets ``config.yaml``, ``comparison.json``, ``comparison.csv``,
    ``comparison.md`` and ``comparison.tex``.

    Args:
        config: Settings of the stage.

    Returns:
        The comparisons of all pairs, or of the first run with each other one.

    Raises:
        InputError: If a folder holds no finished run, runs were not tested alike, or the
            folder to create exists.
    """
    check_run_folder(config, config.out, resume=False)
    found = compare_runs(config)
    out = config.out
    write_atomically(out / CONFIG_FILE, dump_config(config).encode())
    write_atomically(out / "comparison.csv", format_csv(found).encode())
    write_atomically(out / "comparison.md", format_markdown(found).encode())
    write_atomically(out / "comparison.tex", format_latex(found).encode())
    write_json(out / "comparison.json", {**found.facts(), "verdicts": verdicts(found)})
    return found
