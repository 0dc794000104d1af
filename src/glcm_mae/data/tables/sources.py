"""Where images come from: a folder, a manifest, an archive, or a single file."""

from pathlib import Path

from glcm_mae.data.reading.formats import sniff
from glcm_mae.data.reading.policy import RefusedPixelsError
from glcm_mae.data.tables.folders import list_folder
from glcm_mae.data.tables.listing import Listing
from glcm_mae.data.tables.manifests import MANIFEST_SUFFIXES, list_manifest
from glcm_mae.data.tables.medmnist import is_medmnist, list_medmnist
from glcm_mae.errors import InputError

_SPREADSHEETS = (".xlsx", ".xls", ".xlsm", ".ods", ".numbers", ".tsv")


def list_images(path: Path, *, labelled: bool, grouped: bool = False) -> Listing:
    """List the images of whatever a path leads to.

    Args:
        path: Folder, manifest, archive of MedMNIST, or image file.
        labelled: Whether every image needs a class.
        grouped: Whether patients are told in another way than by a manifest.

    Raises:
        InputError: If it is none of them, or its images are not to be listed.
    """
    if path.is_dir():
        return list_folder(path, labelled=labelled)
    if not path.exists():
        raise InputError(
            f"{path}: no such folder or manifest; check the path (that of a recipe is a "
            "stand-in for yours)"
        )
    suffix = path.suffix.lower()
    if suffix in MANIFEST_SUFFIXES and path.is_file():
        return list_manifest(path, labelled=labelled, grouped=grouped)
    if suffix in _SPREADSHEETS:
        raise InputError(
            f"{path}: {suffix} files are not read; save it as CSV (comma-separated UTF-8)"
        )
    if is_medmnist(path):
        return list_medmnist(path, labelled=labelled)
    try:
        sniff(path)
    except (RefusedPixelsError, OSError) as error:
        raise InputError(
            f"{path}: is neither a folder of images, a manifest (.csv, .parquet) nor an image; "
            "give one of them"
        ) from error
    if labelled:
        raise InputError(
            f"{path}: a single file tells no classes; give a folder with a subfolder for each "
            "class, or a manifest"
        )
    return Listing(path, path.parent, (path.name,))
