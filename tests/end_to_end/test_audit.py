"""``glcm-mae data audit`` from the command line: exact files, exit codes, what is told."""

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from tiny import Command

from glcm_mae.data import make_phantom, write_phantoms

FILES = ["audit.html", "audit.json", "duplicates.csv", "groups.csv"]
PATIENT, ADDRESS = "Canary^Patient", "Canary Street 7"


def plant(folder: Path) -> Path:
    """Twelve phantoms in three classes, with copies, text and a broken file among them."""
    write_phantoms(folder, count=12, size=96, seed=0)
    (folder / "manifest.csv").unlink()
    first = sorted((folder / "coarse").glob("*.png"))[0]
    shutil.copy(first, folder / "coarse" / "equal.png")
    with Image.open(first) as image:
        image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(folder / "fine" / "mirrored.png")
    labelled = Image.fromarray(np.uint8(255 * make_phantom("fine", size=96, seed=99).image))
    font = ImageFont.load_default(12)
    ImageDraw.Draw(labelled).text((4, 40), "SMITH J 1947", fill=255, font=font)
    labelled.save(folder / "sparse" / "written.png")
    (folder / "sparse" / "broken.png").write_bytes(first.read_bytes()[:400])
    return folder


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return plant(tmp_path_factory.mktemp("planted") / "images")


def run(glcm_mae: Command, table: Path, out: Path, *more: str) -> tuple[dict[str, Any], str]:
    code, printed, errors = glcm_mae(
        *("data", "audit", table, "--out", out, "--data.cache", out.parent / "cache", *more)
    )
    assert code == 0, errors
    return json.loads((out / "audit.json").read_text()), printed + errors


def rows_of(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as text:
        return list(csv.DictReader(text))


def test_all_that_was_planted_is_found(
    planted: Path, tmp_path: Path, glcm_mae: Command
) -> None:
    facts, told = run(glcm_mae, planted, tmp_path / "audit")
    assert sorted(path.name for path in (tmp_path / "audit").iterdir()) == FILES
    assert (facts["images"], facts["readable"]) == (16, 15)
    assert [each["image"] for each in facts["unreadable"]] == ["sparse/broken.png"]
    counts = facts["duplicates"]["counts"]
    assert (counts["exact_pairs"], counts["clusters"], counts["images_in_clusters"]) == (
        1,
        1,
        3,
    )
    assert counts["pairs_across_classes"] >= 1
    assert counts["pairs_across_splits"] is None
    assert "sparse/written.png" in [each["image"] for each in facts["text"]["images"]]
    assert facts["classes"]["coarse"] == {"all": 5}
    assert facts["formats"] == {"PNG": 15}
    assert facts["sizes"]["distinct"] == 1
    assert "different labels" in told
    assert "scores from random folds are upper bounds" in told
    assert "1 image cannot be read" in told
    assert str(planted.parent) not in (tmp_path / "audit" / "audit.json").read_text()


def test_tables_name_pairs_and_groups(planted: Path, tmp_path: Path, glcm_mae: Command) -> None:
    facts, _ = run(glcm_mae, planted, tmp_path / "audit")
    pairs = rows_of(tmp_path / "audit" / "duplicates.csv")
    assert list(pairs[0]) == [
        *("path_a", "path_b", "exact", "hash_distance", "correlation", "detail"),
        *("orientation", "same_label", "same_split"),
    ]
    assert len(pairs) == facts["duplicates"]["counts"]["pairs"]
    assert {pair["same_split"] for pair in pairs} == {""}
    assert [pair["path_a"] for pair in pairs if pair["exact"] == "yes"] == ["coarse/equal.png"]
    groups = rows_of(tmp_path / "audit" / "groups.csv")
    assert len(groups) == 15
    (cluster,) = facts["duplicates"]["clusters"]
    assert len({row["cluster"] for row in groups if row["path"] in cluster}) == 1
    assert len({row["cluster"] for row in groups}) == facts["groups"]["joined"] == 13


def test_the_page_has_images_only_if_wanted(
    planted: Path, tmp_path: Path, glcm_mae: Command
) -> None:
    run(glcm_mae, planted, tmp_path / "with")
    run(glcm_mae, planted, tmp_path / "without", "--with_images", "false")
    shown = (tmp_path / "with" / "audit.html").read_text()
    bare = (tmp_path / "without" / "audit.html").read_text()
    assert "data:image/png;base64," in shown
    assert "do not pass it on" in shown
    assert "data:image" not in bare
    assert "<img" not in bare
    assert "<svg" in bare
    assert "mirrored.png" in bare


def test_a_folder_without_classes_is_audited_too(tmp_path: Path, glcm_mae: Command) -> None:
    write_phantoms(tmp_path / "flat", count=6, size=64, seed=0, labelled=False)
    (tmp_path / "flat" / "manifest.csv").unlink()
    facts, told = run(glcm_mae, tmp_path / "flat", tmp_path / "audit")
    assert facts["classes"] == {}
    assert list(facts["gray"]["histograms"]) == ["all"]
    assert facts["duplicates"]["counts"]["pairs_across_classes"] is None
    assert "audited without classes" in told
    _, hidden = run(glcm_mae, tmp_path / "flat", tmp_path / "hidden", "--data.names", "hashed")
    assert "audited without classes" in hidden
    assert "phantom_" not in hidden


def test_parts_of_a_manifest_are_compared(
    planted: Path, tmp_path: Path, glcm_mae: Command
) -> None:
    names = sorted(path.relative_to(planted).as_posix() for path in planted.rglob("*.png"))
    table = planted / "split.csv"
    lines = [
        f"{name},{Path(name).parent},{'p' if n % 8 == 0 else name},{('train', 'test')[n % 2]}"
        for n, name in enumerate(names)
    ]
    table.write_text("\n".join(["path,label,group,split", *lines]) + "\n")
    try:
        facts, _ = run(glcm_mae, table, tmp_path / "audit")
    finally:
        table.unlink()
    pairs = rows_of(tmp_path / "audit" / "duplicates.csv")
    across = sum(pair["same_split"] == "no" for pair in pairs)
    assert facts["duplicates"]["counts"]["pairs_across_splits"] == across
    assert facts["groups"]["grouping"] == "manifest"
    assert facts["groups"]["across_splits"] is not None
    assert set(facts["classes"]["coarse"]) == {"all", "test", "train"}


def test_a_folder_that_holds_something_is_refused(
    planted: Path, tmp_path: Path, glcm_mae: Command
) -> None:
    (tmp_path / "audit").mkdir()
    (tmp_path / "audit" / "mine.txt").write_text("keep")
    code, _, errors = glcm_mae("data", "audit", planted, "--out", tmp_path / "audit")
    assert code == 2
    assert "is not an empty folder" in errors
    assert [path.name for path in (tmp_path / "audit").iterdir()] == ["mine.txt"]


def test_a_missing_table_is_refused(tmp_path: Path, glcm_mae: Command) -> None:
    code, _, errors = glcm_mae("data", "audit", tmp_path / "none", "--out", tmp_path / "audit")
    assert code == 2
    assert "Traceback" not in errors
    assert not (tmp_path / "audit").exists()


def test_headers_are_told_by_the_names_of_their_elements(
    tmp_path: Path, glcm_mae: Command
) -> None:
    pydicom = pytest.importorskip("pydicom")
    for number in range(4):
        write_dicom(
            pydicom, tmp_path / "clinic" / f"class{number % 2}" / f"{number}.dcm", number
        )
    facts, told = run(
        glcm_mae, tmp_path / "clinic", tmp_path / "audit", "--data.names", "hashed"
    )
    assert facts["table"] == "(hidden)"
    assert facts["dicom"]["files"] == 4
    assert facts["dicom"]["modality"] == {"US": 4}
    assert facts["dicom"]["burned_in"] == {"YES": 4}
    assert facts["dicom"]["identifying"]["PatientAddress"] == 4
    assert "4 DICOM files say that annotations are burned in" in told
    outputs = told + "".join(path.read_text() for path in (tmp_path / "audit").iterdir())
    for value in ("Canary", ".dcm", str(tmp_path / "clinic")):
        assert value not in outputs.replace(str(tmp_path / "audit"), "")


def write_dicom(pydicom: Any, path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    data = pydicom.Dataset()
    data.file_meta = pydicom.dataset.FileMetaDataset()
    data.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
    data.PatientName, data.PatientAddress, data.PatientID = PATIENT, ADDRESS, f"Canary{seed}"
    data.Modality, data.BurnedInAnnotation = "US", "YES"
    data.Rows, data.Columns, data.SamplesPerPixel = 64, 64, 1
    data.PhotometricInterpretation = "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 8, 8, 7, 0
    data.PixelData = np.uint8(255 * make_phantom("fine", size=64, seed=seed).image).tobytes()
    pydicom.dcmwrite(path, data, enforce_file_format=True)
