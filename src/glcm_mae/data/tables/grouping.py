"""Groups: which images are of one patient, told by the first source that knows.

Convention:
    The order is: the column ``group`` of a manifest; a pattern in the file's path, where
    one is given; DICOM's patient, within its issuer; DICOM's study; and where nothing is
    told, each file is its own group.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from glcm_mae.data.reading.formats import IMAGE_SUFFIXES, Format, sniff
from glcm_mae.data.reading.policy import RefusedPixelsError
from glcm_mae.data.reading.sandbox import in_child
from glcm_mae.data.tables.listing import WHOLE, Listing, name_of
from glcm_mae.data.tables.pseudonyms import Pseudonyms
from glcm_mae.data.threads import in_threads
from glcm_mae.errors import InputError

_OF_DICOM = (".dcm", ".dicom", ".ima")
_FEWEST = 3  # files from which on one patient with several studies is not believed


def find_groups(
    listing: Listing,
    *,
    pattern: str,
    headers: bool,
    secret: Callable[[], Pseudonyms],
    hide: bool = False,
) -> tuple[Listing, str]:
    """Fill in the group of every image.

    Args:
        listing: The images.
        pattern: Regular expression that finds the patient in a path, or ``""``.
        headers: Whether to look into the headers of DICOM files.
        secret: Loads the key, when the first pseudonym is needed.
        hide: Whether groups that a person or a path tells become pseudonyms too; those
            of DICOM always are.

    Returns:
        The listing with groups, and how most of its images came by theirs:
        ``"manifest"``, ``"pattern"``, ``"dicom"`` or ``"image"``.

    Raises:
        InputError: If the pattern is none, or matches no path.
    """
    groups = list(listing.groups) or [""] * len(listing)
    source = ["manifest" if group else "" for group in groups]
    unknown = [row for row, group in enumerate(groups) if not group]
    if pattern:
        told = groups_in_paths(listing.paths, pattern)
        kind = "pattern"
    else:
        told = _groups_in_headers(listing, unknown, secret) if headers else {}
        kind = "dicom"
    for row in unknown:
        known = told.get(listing.paths[row], "")
        groups[row], source[row] = (known, kind) if known else (_own(listing, row), "image")
    if hide:
        groups = [
            group if kind == "dicom" else secret().of("group", group)
            for group, kind in zip(groups, source, strict=True)
        ]
    plain = listing.paths if groups == list(listing.paths) else tuple(groups)
    grouping = Counter(source).most_common(1)[0][0] if source else "image"
    return replace(listing, groups=plain), grouping


def _own(listing: Listing, row: int) -> str:
    """Name an image that is its own group; the slices of one volume have one."""
    frame = listing.frames[row] if listing.apart else WHOLE
    return name_of(listing.paths[row], frame)


def groups_in_paths(paths: Sequence[str], pattern: str) -> dict[str, str]:
    r"""Find the group of each path by a regular expression.

    Args:
        paths: The images.
        pattern: Searched for in the path; what its groups capture, joined by ``-``, is
            the group of the image, without any the whole match.

    Returns:
        The group of each path that matches.

    Raises:
        InputError: If the pattern is no regular expression, or matches no path.

    Example:
        >>> groups_in_paths(["p1_left.png", "p1_right.png", "q.png"], r"(p\d+)_")
        {'p1_left.png': 'p1', 'p1_right.png': 'p1'}
    """
    try:
        search = re.compile(pattern).search
    except re.error as error:
        raise InputError(
            f"group_pattern: {pattern!r} is no regular expression ({error}); correct it"
        ) from error
    found = {}
    for path in dict.fromkeys(paths):
        match = search(path)
        if match and (group := "-".join(filter(None, match.groups())) or match.group()):
            found[path] = group
    if not found:
        raise InputError(
            f"group_pattern: {pattern!r} matches none of {len(paths)} paths, such as "
            f"{paths[0]}; correct it or leave it out"
        )
    return found


def _groups_in_headers(
    listing: Listing, rows: Sequence[int], secret: Callable[[], Pseudonyms]
) -> dict[str, str]:
    files = dict.fromkeys(listing.paths[row] for row in rows)
    paths = [path for path in files if _may_be_dicom(path)]
    headers = in_threads(lambda n: _header(listing.root / paths[n]), len(paths))
    read = {path: header for path, header in zip(paths, headers, strict=True) if header}
    owners = believed_owners(read)
    return {path: secret().of(*owner) for path, owner in owners.items()}


def believed_owners(
    headers: Mapping[str, Mapping[str, Any]],
) -> dict[str, tuple[str, str]]:
    """Tell whose each DICOM file is, as far as its header can be believed.

    Data sets that were made anonymous often have no patient numbers, or one for all. So a
    number that all of three files or more have, in different studies or none, is not
    believed: the study is taken, which is always of one patient.

    Args:
        headers: ``patient`` and ``study`` of each file.

    Returns:
        ``("patient", ...)`` or ``("study", ...)`` of each file that tells one.

    Example:
        >>> one = {"patient": "|ANON", "study": "1.2"}
        >>> headers = {"a": one, "b": one, "c": {"patient": "|ANON", "study": "1.3"}}
        >>> believed_owners(headers)
        {'a': ('study', '1.2'), 'b': ('study', '1.2'), 'c': ('study', '1.3')}
    """
    patients = {path: str(header["patient"]).strip() for path, header in headers.items()}
    studies = {path: str(header["study"]).strip() for path, header in headers.items()}
    named = [path for path, patient in patients.items() if not _is_blank(patient)]
    of_named = {studies[path] for path in named}
    one_study = len(of_named) == 1 and "" not in of_named
    one_patient = len({patients[path] for path in named}) == 1
    believed = not (one_patient and len(named) >= _FEWEST and not one_study)
    owners = {}
    for path in headers:
        if believed and not _is_blank(patients[path]):
            owners[path] = ("patient", patients[path])
        elif studies[path]:
            owners[path] = ("study", studies[path])
    return owners


def _is_blank(patient: str) -> bool:
    """Say whether a patient has no number; the issuer before the bar is not one."""
    return not patient.rpartition("|")[2].strip()


def _may_be_dicom(path: str) -> bool:
    name = PurePosixPath(path).name.lower()
    return name.endswith(_OF_DICOM) or not name.endswith(IMAGE_SUFFIXES)


def _header(file: Path) -> dict[str, Any] | None:
    """Read a header in a child process; None where there is none, which reading tells."""
    try:
        if sniff(file) is not Format.DICOM:
            return None
        header: dict[str, Any] = in_child("header", file)
    except (RefusedPixelsError, OSError):
        return None
    return header
