"""MedMNIST archives as tables."""

import io
import zipfile
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from glcm_mae.data.reading.images import read_image
from glcm_mae.data.tables.table import read_table
from glcm_mae.errors import InputError


def archive(folder: Path, **arrays: npt.NDArray[np.generic]) -> Path:
    path = folder / "set.npz"
    np.savez_compressed(path, **arrays)  # type: ignore[arg-type]
    return path


def parts(
    *shape: int, labels: int = 1, counts: tuple[int, ...] = (3, 1, 2)
) -> dict[str, npt.NDArray[np.generic]]:
    found: dict[str, npt.NDArray[np.generic]] = {}
    for name, count in zip(("train", "val", "test"), counts, strict=True):
        found[f"{name}_images"] = np.zeros((count, *shape), np.uint8)
        found[f"{name}_labels"] = np.arange(count * labels).reshape(count, labels) % 3
    return found


def refusal(path: Path, *, labelled: bool = True) -> str:
    with pytest.raises(InputError) as caught:
        read_table(path, labelled=labelled)
    return str(caught.value)


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 3)])
def test_every_image_is_a_row(tmp_path: Path, shape: tuple[int, ...]) -> None:
    path = archive(tmp_path, **parts(*shape))
    table = read_table(path, labelled=True)
    assert table.file(5) == path
    assert table.paths == ("set.npz",) * 6
    assert table.paths[0] is table.paths[5]
    assert table.frames == (0, 1, 2, 3, 4, 5)
    assert table.splits == ("train",) * 3 + ("val",) + ("test",) * 2
    assert (table.classes, table.labels) == (("0", "1", "2"), (0, 1, 2, 0, 0, 1))
    assert table.groups == table.names  # not slices of a volume
    assert table.grouping == "image"
    assert table == read_table(path, labelled=True, frames="middle")


def test_classes_can_be_named_and_left_out(tmp_path: Path) -> None:
    path = archive(tmp_path, **parts(8, 8))
    wanted = {"0": "malignant", "1": "benign", "2": None}
    table = read_table(path, labelled=True, label_map=wanted)
    assert table.classes == ("benign", "malignant")
    assert table.names == tuple(f"set.npz#{frame}" for frame in (0, 1, 3, 4, 5))
    assert table.splits == ("train", "train", "val", "test", "test")


def test_several_labels_an_image_are_refused_where_one_is_needed(tmp_path: Path) -> None:
    path = archive(tmp_path, **parts(8, 8, labels=14))
    assert refusal(path) == (
        f"{path}: each image must have one label, here it has 14; train on it without labels, "
        "or give a manifest with one of them"
    )
    table = read_table(path, labelled=False)
    assert (len(table), table.labels, table.splits[5]) == (6, (), "test")


def test_volumes_are_refused(tmp_path: Path) -> None:
    path = archive(tmp_path, **parts(8, 8, 8))
    assert refusal(path) == (
        f"{path}: train_images must be images of one size, gray or colour, "
        "found 3 x 8 x 8 x 8; give a MedMNIST set of 2-D images"
    )


def test_an_archive_of_other_arrays_is_no_set(tmp_path: Path) -> None:
    whole = parts(8, 8)
    path = archive(tmp_path, **{name: whole[name] for name in whole if "val" not in name})
    assert refusal(path).startswith(f"{path}: a single file tells no classes; ")
    assert read_table(path, labelled=False).paths == ("set.npz",)


def damaged(path: Path, name: str, content: bytes) -> None:
    """Replace a member of an archive."""
    with zipfile.ZipFile(path) as source:
        members = {member: source.read(member) for member in source.namelist()}
    with zipfile.ZipFile(path, "w") as target:
        for member, old in members.items():
            target.writestr(member, content if member == name else old)


def as_npy(array: npt.NDArray[np.generic]) -> bytes:
    content = io.BytesIO()
    np.save(content, array)
    return content.getvalue()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("train_labels.npy", as_npy(np.zeros((2, 1), np.uint8))),  # one too few
        ("train_labels.npy", as_npy(np.zeros((3, 1), np.uint8))[:-1]),
        ("train_labels.npy", as_npy(np.zeros((3, 1)))),  # no integers
        ("train_labels.npy", as_npy(np.array(["a", "b", "c"]))),
        ("train_labels.npy", as_npy(np.zeros((3, 1), np.uint8)).replace(b"|u1", b"|O ")),
        ("train_labels.npy", b""),
        ("val_images.npy", b"\x93NUMPY\x01\x00\x76\x00nonsense"),
        (
            "val_images.npy",
            as_npy(np.zeros((1, 8, 8), np.uint8)).replace(b"(1, ", b"(99999999, "),
        ),
    ],
)
def test_damaged_archives_are_refused(tmp_path: Path, name: str, content: bytes) -> None:
    path = archive(tmp_path, **parts(8, 8))
    damaged(path, name, content)
    message = refusal(path)
    assert message.startswith(f"{path}: cannot be read as a MedMNIST archive (")
    assert message.endswith("); download it again")


def test_an_archive_without_labels(tmp_path: Path) -> None:
    whole = parts(8, 8)
    path = archive(tmp_path, **{name: whole[name] for name in whole if "images" in name})
    assert "cannot be read as a MedMNIST archive" in refusal(path)
    assert len(read_table(path, labelled=False)) == 6


def test_frames_lead_to_the_pixels(tmp_path: Path) -> None:
    arrays = parts(4, 6)
    for value, name in enumerate(("train_images", "val_images", "test_images")):
        arrays[name] = arrays[name] + np.uint8(51 * value)
    table = read_table(archive(tmp_path, **arrays), labelled=True)
    found = [
        float(read_image(table.file(row), frame=table.frame(row))[0, 3, 5]) for row in range(6)
    ]
    assert np.allclose(found, [0, 0, 0, 0.2, 0.4, 0.4])
