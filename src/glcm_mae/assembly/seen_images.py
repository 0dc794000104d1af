"""Which images a model was trained on, by content."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from glcm_mae.assembly.encoder_files import encoder_file
from glcm_mae.data import ImageTable, file_hashes
from glcm_mae.runs import keep_file

IMAGES_FILE = "images.csv"


def record_images(path: Path, table: ImageTable, cache: Path | None) -> None:
    """Write ``path,sha256`` of every image trained on, so that overlap can be checked.

    Args:
        path: The file.
        table: The images.
        cache: Folder for decoded images, which remembers the hashes.

    Raises:
        InputError: If the run was begun with other images.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["path", "sha256"])
    writer.writerows(zip(table.names, file_hashes(table, cache), strict=True))
    keep_file(path, text.getvalue().encode())


def count_seen(weights: Path, hashes: Sequence[str]) -> int | None:
    """Return how many images, by content, the weights were trained on.

    Args:
        weights: Pre-training run folder, or an encoder file inside one.
        hashes: SHA-256 of the images in question.

    Returns:
        The count, or None where the run's list of images is not beside the weights.
    """
    record = encoder_file(weights).with_name(IMAGES_FILE)
    if not record.is_file():
        return None
    with record.open(encoding="utf-8", newline="") as file:
        known = {row["sha256"] for row in csv.DictReader(file)}
    return sum(digest in known for digest in hashes)
