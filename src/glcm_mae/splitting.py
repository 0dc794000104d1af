"""Folds as a file of their own, so that several runs use the same."""

from collections.abc import Sequence
from dataclasses import replace

from glcm_mae.config import SplitConfig
from glcm_mae.data.folds.fold_files import format_folds
from glcm_mae.division import draw_folds, find_leaks, list_readable, together_note
from glcm_mae.errors import InputError
from glcm_mae.files import write_atomically
from glcm_mae.intake import splits_of


def write_split(config: SplitConfig) -> Sequence[str]:
    """Draw folds and write them as CSV: ``path``, and a column for each fold.

    Args:
        config: Settings of the stage.

    Returns:
        What was kept together, in a few sentences.

    Raises:
        InputError: If the file exists, or the table or an image is bad.
    """
    if config.out.exists():
        raise InputError(f"{config.out}: exists; choose another --out, or remove it first")
    table = list_readable(config.data)
    given = config.folds.official
    leaks = find_leaks(table, config.data, config.leak_check, given=given)
    table = replace(table, groups=leaks.groups)
    folds = draw_folds(table, config.folds, config.seed, splits_of(table, config.data))
    write_atomically(config.out, format_folds(table.names, folds).encode())
    return (
        f"{len(table)} images in {len(folds)} folds",
        together_note(table, leaks, folds),
        leaks.note,
    )
