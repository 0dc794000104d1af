"""Small pictures of the images that a classifier got wrong; only where settings allow it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from glcm_mae.audit_page import draw_picture
from glcm_mae.config import DataConfig
from glcm_mae.data import read_image
from glcm_mae.division import thumbnail_policy
from glcm_mae.errors import InputError
from glcm_mae.intake import list_images
from glcm_mae.report.facts import RunFacts
from glcm_mae.runs import CONFIG_FILE, read_config


def read_photographs(
    run: RunFacts, names: Sequence[str], table: Path | None = None
) -> dict[str, bytes]:
    """Read images by their names in the table, and draw them small.

    Args:
        run: Whose images they are.
        names: Names of the images.
        table: Where the images lie now; none: where they lay when the run was begun.

    Returns:
        PNG files by name; a name that the table lacks is left out.

    Raises:
        InputError: If the table or an image cannot be read.
    """
    data = _data_of(run, table)
    images = list_images(data, labelled=True)
    if images.source == "shards":
        raise InputError(
            f"with_images: {data.table} holds decoded images; name the folder or manifest of "
            "the files themselves with --table, or leave --with_images out"
        )
    rows = {name: row for row, name in enumerate(images.names)}
    policy = replace(thumbnail_policy(data), size=None)
    found = {}
    for name in names:
        if name in rows:
            file, frame = images.file(rows[name]), images.frame(rows[name])
            pixels = read_image(file, frame=frame, policy=policy)[0]
            found[name] = draw_picture(pixels).png
    return found


def _data_of(run: RunFacts, table: Path | None) -> DataConfig:
    """Read the settings of the images with the paths that the report itself never shows."""
    try:
        values = dict(read_config(run.folder)["data"])
        return DataConfig(**(values if table is None else {**values, "table": table}))
    except (KeyError, TypeError, ValueError) as error:
        path = run.folder / CONFIG_FILE
        raise InputError(f"{path}: does not tell how its images are read ({error})") from error
