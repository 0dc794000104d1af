"""Which images a model was trained on, by content."""

import csv
import io
from collections.abc import Sequence, Set
from pathlib import Path

from glcm_mae.assembly.encoder_files import encoder_file
from glcm_mae.data import ImageTable, file_hashes
from glcm_mae.runs import keep_file

IMAGES_FILE = "images.csv"
EARLIER_FILE = "earlier_images.csv"
_UNKNOWN = "not known"


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


def record_earlier(path: Path, weights: Path) -> None:
    """Write ``sha256`` of every image that weights were trained on before they are trained on.

    Args:
        path: The file.
        weights: What a training starts from.
    """
    known = sorted(known_images(weights))
    keep_file(path, "".join(f"{line}\n" for line in ("sha256", *known)).encode())


def known_images(weights: Path) -> set[str]:
    """Return SHA-256 of the images that weights were trained on, as far as it is known.

    Args:
        weights: Pre-training run folder, an encoder file inside one, or weights of another
            library.

    Returns:
        The hashes; where a list of images is missing, also a word that says so.
    """
    record = encoder_file(weights).with_name(IMAGES_FILE)
    if not weights.exists() or not record.is_file():  # timm:NAME is no path
        return {_UNKNOWN}
    earlier = record.with_name(EARLIER_FILE)
    return _listed(record) | (_listed(earlier) if earlier.is_file() else set())


def earlier_images(folder: Path) -> set[str]:
    """Return SHA-256 of the images that the weights which trainings began with were trained on.

    Args:
        folder: One or more pre-training run folders, at any depth.

    Returns:
        As :func:`known_images`; nothing if the trainings began with no weights.
    """
    return set().union(*(_listed(path) for path in folder.rglob(EARLIER_FILE)))


def _listed(path: Path) -> set[str]:
    """Return the hashes of a list, or the word if it is a file of another kind."""
    with path.open(encoding="utf-8", newline="") as lines:
        return {row.get("sha256") or _UNKNOWN for row in csv.DictReader(lines)}


def which_seen(known: Set[str], hashes: Sequence[str]) -> list[bool] | None:
    """Return which images, by content, are among those that weights were trained on.

    Args:
        known: What :func:`known_images` tells of the weights.
        hashes: SHA-256 of the images in question.

    Returns:
        One answer an image; None where none is among them and a list of images is missing,
        the run's own or that of weights that it started from.
    """
    seen = [digest in known for digest in hashes]
    return None if not any(seen) and (_UNKNOWN in known or not known) else seen
