"""Folders against what was published, and manifests of them."""

import csv
import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from glcm_mae.data.known.catalog import KnownSet, find_set
from glcm_mae.data.known.published import check_folder, write_manifest
from glcm_mae.data.tables.table import read_table
from glcm_mae.errors import InputError


def small(name: str, counts: Mapping[str, Mapping[str, int]]) -> KnownSet:
    return replace(find_set(name), counts=counts)


BUSI = small("busi", {"all": {"normal": 1, "benign": 2, "malignant": 1}})
KERMANY = small(
    "kermany-cxr",
    {
        "train": {"normal": 2, "pneumonia": 1},
        "val": {"normal": 1, "pneumonia": 1},
        "test": {"normal": 1, "pneumonia": 1},
    },
)
GBCU = small(
    "gbcu",
    {
        "train": {"normal": 1, "benign": 1, "malignant": 1},
        "test": {"normal": 1, "benign": 0, "malignant": 0},
    },
)


def fill(folder: Path, *names: str) -> Path:
    for name in names:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    return folder


def busi_folder(folder: Path) -> Path:
    top = "Dataset_BUSI_with_GT"
    return fill(
        folder,
        f"{top}/normal/normal (1).png",
        f"{top}/normal/normal (1)_mask.png",
        f"{top}/benign/benign (1).png",
        f"{top}/benign/benign (1)_mask.png",
        f"{top}/benign/benign (1)_mask_1.png",
        f"{top}/benign/benign (2).png",
        f"{top}/malignant/malignant (1).png",
    )


def kermany_folder(folder: Path) -> Path:
    return fill(
        folder,
        "chest_xray/train/NORMAL/IM-0115-0001.jpeg",
        "chest_xray/train/NORMAL/NORMAL2-IM-0117-0001.jpeg",
        "chest_xray/train/PNEUMONIA/person1_bacteria_1.jpeg",
        "chest_xray/val/NORMAL/IM-0116-0001.jpeg",
        "chest_xray/val/PNEUMONIA/person2_virus_1.jpeg",
        "chest_xray/test/NORMAL/IM-0001-0001.jpeg",
        "chest_xray/test/PNEUMONIA/person1_virus_6.jpeg",
    )


def gbcu_folder(folder: Path) -> Path:
    fill(folder, *(f"GBCU-Shared/imgs/im0000{i}.jpg" for i in range(4)))
    (folder / "GBCU-Shared/train.txt").write_text(
        "im00000.jpg,0\nim00001.jpg,1\nim00002.jpg,2\n"
    )
    (folder / "GBCU-Shared/test.txt").write_text("im00003.jpg,0\n")
    return folder


def rows(manifest: Path) -> list[list[str]]:
    with manifest.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def test_a_folder_as_published(tmp_path: Path) -> None:
    folder = busi_folder(tmp_path)
    for given in (folder, folder / "Dataset_BUSI_with_GT"):
        report = check_folder(BUSI, given)
        assert report.agrees
        assert str(report).splitlines() == [
            f"busi: {given}",
            "  ok  normal: 1 found, 1 published",
            "  ok  benign: 2 found, 2 published",
            "  ok  malignant: 1 found, 1 published",
            "      3 masks left out",
            "as published: 4 images",
        ]


def test_what_is_missing_more_and_strange_is_told(tmp_path: Path) -> None:
    folder = busi_folder(tmp_path)
    top = "Dataset_BUSI_with_GT"
    (folder / top / "benign/benign (2).png").unlink()
    fill(folder, f"{top}/normal/normal (2).png", f"{top}/axilla/a.png", "preview.png")
    report = check_folder(BUSI, folder)
    assert not report.agrees
    assert str(report).splitlines()[1:] == [
        "  !!  normal: 2 found, 1 published, 1 more",
        "  !!  benign: 1 found, 2 published, 1 missing",
        "  ok  malignant: 1 found, 1 published",
        f"  !!  folder {top}/axilla is not one of the set: 1 images, not counted",
        "  !!  folder . is not one of the set: 1 images, not counted",
        "      3 masks left out",
        "NOT as published: 4 of 4 images; see the lines marked !!",
    ]


def test_parts_are_compared_and_a_copy_inside_is_not_counted(tmp_path: Path) -> None:
    folder = kermany_folder(tmp_path)
    assert check_folder(KERMANY, folder).agrees
    fill(folder, "chest_xray/chest_xray/train/NORMAL/IM-0115-0001.jpeg")
    fill(folder, "chest_xray/train/NORMAL/copy of IM-0115-0001.jpeg")
    text = str(check_folder(KERMANY, folder))
    assert "  !!  train normal: 3 found, 2 published, 1 more" in text
    assert "chest_xray/chest_xray/train/NORMAL is not one of the set: 1 images" in text
    assert "  !!  1 of 8 file names tell no patient" in text


def test_lists_of_labels(tmp_path: Path) -> None:
    folder = gbcu_folder(tmp_path)
    assert check_folder(GBCU, folder).agrees
    (folder / "GBCU-Shared/imgs/im00001.jpg").unlink()
    (folder / "GBCU-Shared/test.txt").write_text(
        "im00003.jpg,0\nim00009.jpg 1\nim00009.jpg,7\n"
    )
    text = str(check_folder(GBCU, folder / "GBCU-Shared"))
    assert "  !!  train benign: 0 found, 1 published, 1 missing" in text
    assert "  !!  1 listed images are missing: imgs/im00001.jpg" in text
    assert "  !!  test.txt has 3 lines not of the form FILE,CLASS" in text


def archive(file: Path, labels: Mapping[str, list[int]]) -> KnownSet:
    arrays = {}
    for part, numbers in labels.items():
        arrays[f"{part}_images"] = np.zeros((len(numbers), 28, 28), np.uint8)
        arrays[f"{part}_labels"] = np.array(numbers, np.uint8)[:, None]
    np.savez(file, **arrays)
    counts = {"train": {"": 3}, "val": {"": 1}, "test": {"": 2}}
    known = {28: hashlib.md5(file.read_bytes()).hexdigest()}
    return replace(find_set("breastmnist"), counts=counts, files=known)


def test_an_archive_of_medmnist(tmp_path: Path) -> None:
    file = tmp_path / "breastmnist.npz"
    entry = archive(file, {"train": [0, 1, 1], "val": [1], "test": [0, 1]})
    for given in (file, tmp_path):
        report = check_folder(entry, given)
        assert report.agrees
        assert "  ok  train: 3 found, 3 published" in str(report)
        assert "2 malignant, 4 normal, benign (no numbers published)" in str(report)
    with pytest.raises(InputError, match=r"is read as it is; give it as --data\.table"):
        write_manifest(entry, file, tmp_path / "m.csv")


def test_an_archive_that_is_another(tmp_path: Path) -> None:
    file = tmp_path / "breastmnist.npz"
    archive(file, {"train": [0, 1, 3], "val": [1], "test": [0]})
    text = str(check_folder(find_set("breastmnist"), file))
    assert "  !!  test: 1 found, 156 published, 155 missing" in text
    assert "  !!  class 3 is not one of the set: 1 images" in text
    assert "has a checksum that was not published" in text


@pytest.mark.parametrize(
    ("name", "content"), [("busi", "a.png"), ("gbcu", "imgs/a.jpg"), ("breastmnist", "a.png")]
)
def test_another_layout_is_told(name: str, content: str, tmp_path: Path) -> None:
    fill(tmp_path, content)
    with pytest.raises(InputError, match=f"is not laid out like {name}, expected .*; give the"):
        check_folder(find_set(name), tmp_path)
    with pytest.raises(InputError, match="is not laid out like"):
        check_folder(find_set(name), tmp_path / content)


def test_a_missing_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder or file; check the path"):
        check_folder(BUSI, tmp_path / "none")


def test_a_manifest_of_a_folder_with_masks(tmp_path: Path) -> None:
    folder = busi_folder(tmp_path / "data")
    top = "Dataset_BUSI_with_GT"
    for out, prefix in ((folder / "m.csv", ""), (tmp_path / "m.csv", "data/")):
        assert write_manifest(BUSI, folder, out) == out
        assert rows(out) == [
            ["path", "label", "group", "split"],
            [f"{prefix}{top}/benign/benign (1).png", "benign", "", ""],
            [f"{prefix}{top}/benign/benign (2).png", "benign", "", ""],
            [f"{prefix}{top}/malignant/malignant (1).png", "malignant", "", ""],
            [f"{prefix}{top}/normal/normal (1).png", "normal", "", ""],
        ]
        assert read_table(out, labelled=True).classes == ("benign", "malignant", "normal")


def test_a_manifest_with_patients_and_parts(tmp_path: Path) -> None:
    out = write_manifest(KERMANY, kermany_folder(tmp_path), tmp_path / "manifest.csv")
    table = {row[0]: row[1:] for row in rows(out)}
    assert table["chest_xray/train/NORMAL/NORMAL2-IM-0117-0001.jpeg"] == [
        "normal",
        "NORMAL2-IM-0117",
        "train",
    ]
    assert table["chest_xray/test/PNEUMONIA/person1_virus_6.jpeg"] == [
        "pneumonia",
        "person1",
        "test",
    ]
    assert check_folder(KERMANY, tmp_path).agrees  # now by the manifest
    with pytest.raises(InputError, match="is read as it is"):
        write_manifest(KERMANY, tmp_path, tmp_path / "again.csv")


def test_a_manifest_of_lists(tmp_path: Path) -> None:
    out = write_manifest(GBCU, gbcu_folder(tmp_path), tmp_path / "m.csv")
    assert rows(out)[2] == ["GBCU-Shared/imgs/im00001.jpg", "benign", "", "train"]
    assert check_folder(GBCU, out).agrees


def test_a_manifest_is_not_overwritten_and_lies_above_the_images(tmp_path: Path) -> None:
    folder = busi_folder(tmp_path / "data")
    out = fill(tmp_path, "m.csv") / "m.csv"
    with pytest.raises(InputError, match="exists already; remove it or choose another name"):
        write_manifest(BUSI, folder, out)
    with pytest.raises(InputError, match="must lie beside the images or above them"):
        write_manifest(BUSI, folder, tmp_path / "elsewhere" / "m.csv")


def test_a_manifest_without_parts_and_with_other_classes(tmp_path: Path) -> None:
    names = ("a/IM-0001-1.png", "a/person1_b.png", "a/c.png")
    fill(tmp_path, *names)
    lines = zip(names, ("Normal", "PNEUMONIA", "covid"), strict=True)
    text = "path,label\n" + "".join(f"{name},{label}\n" for name, label in lines)
    (tmp_path / "m.csv").write_text(text)
    report = str(check_folder(KERMANY, tmp_path / "m.csv"))
    assert "  !!  normal: 1 found, 4 published, 3 missing" in report
    assert "  !!  class 'covid' is not one of the set: 1 images" in report
    assert "no part is told for the images: only the sums were compared" in report


def test_the_real_breast_images_are_as_published(busi: Path) -> None:
    assert check_folder(find_set("busi"), busi).agrees
    assert check_folder(find_set("busi"), busi / "images").agrees


def test_one_real_ct_slice_is_missing(sarscov2_ct: Path) -> None:
    report = check_folder(find_set("sarscov2-ct"), sarscov2_ct)
    assert not report.agrees
    assert "non-covid: 1,229 found, 1,230 published, 1 missing" in str(report)
    assert str(report).endswith("2,481 of 2,482 images; see the lines marked !!")


def test_the_real_chest_images_give_the_manifest_beside_them(
    kermany_cxr: Path,
) -> None:
    """Groups found in the names equal those of the manifest that came with the images."""
    entry = find_set("kermany-cxr")
    assert check_folder(entry, kermany_cxr / "images").agrees
    real = rows(kermany_cxr / "manifest.csv")
    for path, _, group, _ in real[1:]:
        assert entry.group_of(path) == group
