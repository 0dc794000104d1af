"""Which images are of one patient: the sources in their order, and what is not believed."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from glcm_mae.data.tables import grouping
from glcm_mae.data.tables.grouping import believed_owners
from glcm_mae.data.tables.pseudonyms import Pseudonyms
from glcm_mae.data.tables.table import ImageTable, read_table
from glcm_mae.errors import InputError

KEY = "ab" * 32
HIDDEN = Pseudonyms(bytes.fromhex(KEY))


def write_dicom(path: Path, **fields: str) -> None:
    """Write a small image; ``fields`` are DICOM keywords."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    data.Rows = data.Columns = 4
    data.BitsAllocated = data.BitsStored = 8
    data.HighBit, data.SamplesPerPixel, data.PixelRepresentation = 7, 1, 0
    data.PhotometricInterpretation = "MONOCHROME2"
    data.PixelData = bytes(16)
    for keyword, value in fields.items():
        setattr(data, keyword, value)
    path.parent.mkdir(parents=True, exist_ok=True)
    data.save_as(path, enforce_file_format=True)


def table_of(folder: Path, **more: Any) -> ImageTable:
    key = folder.parent / "key"
    key.write_text(KEY)
    return read_table(folder, labelled=True, key=key, **more)


def written(root: Path, *rows: Sequence[str]) -> Path:
    path = root / "manifest.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return path


def test_dicom_tells_patients_within_their_issuer(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    write_dicom(
        folder / "x" / "1", PatientID="7", IssuerOfPatientID="A", StudyInstanceUID="1.1"
    )
    write_dicom(
        folder / "x" / "2", PatientID="7", IssuerOfPatientID="A", StudyInstanceUID="1.2"
    )
    write_dicom(folder / "y" / "3.dcm", PatientID="7", StudyInstanceUID="1.3")
    write_dicom(folder / "y" / "4.dcm", StudyInstanceUID="1.4")
    write_dicom(folder / "y" / "5.dcm", PatientID="", StudyInstanceUID="1.4")
    write_dicom(folder / "y" / "6.dcm")
    (folder / "y" / "7.dcm").write_bytes(b"broken")
    table = table_of(folder)
    assert table.groups == (
        HIDDEN.of("patient", "A|7"),
        HIDDEN.of("patient", "A|7"),
        HIDDEN.of("patient", "|7"),
        HIDDEN.of("study", "1.4"),
        HIDDEN.of("study", "1.4"),
        "y/6.dcm",
        "y/7.dcm",
    )
    assert table.grouping == "dicom"


def test_patients_are_asked_for_without_classes_where_wanted(tmp_path: Path) -> None:
    folder, key = tmp_path / "data", tmp_path / "key"
    for number, patient in enumerate("778"):
        write_dicom(folder / f"{number}.dcm", PatientID=patient, StudyInstanceUID=f"1.{number}")
    alone = read_table(folder, labelled=False, key=key)
    assert alone.grouping == "image"
    assert alone.groups == alone.paths
    table = read_table(folder, labelled=False, patients=True, key=key)
    assert table.grouping == "dicom"
    assert table.groups[0] == table.groups[1] != table.groups[2]


def test_one_patient_number_for_all_is_not_believed(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    for number in range(4):
        uid = f"1.{number // 2}"
        write_dicom(
            folder / "xy"[number % 2] / f"{number}.dcm", PatientID="ANON", StudyInstanceUID=uid
        )
    table = table_of(folder)
    assert set(table.groups) == {HIDDEN.of("study", "1.0"), HIDDEN.of("study", "1.1")}


@pytest.mark.parametrize(
    ("headers", "kinds"),
    [
        ([("|7", "1"), ("|7", "2")], "pp"),  # two files of one patient are nothing odd
        ([("|7", "1"), ("|7", "2"), ("|7", "3")], "sss"),
        ([("|7", "1"), ("|7", "1"), ("|7", "1")], "ppp"),  # one study is of one patient
        ([("|7", ""), ("|7", ""), ("|7", "")], "---"),  # nothing tells them apart
        ([("|7", "1"), ("|7", "1"), ("|7", "")], "ss-"),
        ([("|7", "1"), ("|7", "2"), ("|7", "3"), ("|", "4")], "ssss"),
        ([("|7", "1"), ("|7", "2"), ("|7", "3"), ("|8", "4")], "pppp"),
        ([("A|7", "1"), ("B|7", "2"), ("|7", "3")], "ppp"),
        ([("A|", "1"), ("A| ", ""), ("|", " ")], "s--"),
    ],
)
def test_whom_headers_are_believed_to_tell(headers: list[tuple[str, str]], kinds: str) -> None:
    named = {"patient": "p", "study": "s"}
    owners = believed_owners(
        {
            str(n): {"patient": patient, "study": study}
            for n, (patient, study) in enumerate(headers)
        }
    )
    found = [named[owners[str(n)][0]] if str(n) in owners else "-" for n in range(len(headers))]
    assert "".join(found) == kinds


def test_no_identifier_of_a_dicom_folder_reaches_the_table(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    planted = {
        "PatientName": "Canary^Anna",
        "IssuerOfPatientID": "CanaryClinic",
        "PatientBirthDate": "19330430",
        "AccessionNumber": "CANARY77",
        "InstitutionName": "CanaryHouse",
    }
    for number in range(6):
        write_dicom(
            folder / "xy"[number % 2] / f"{number}",
            PatientID=f"CANARY-{number // 3}" if number < 5 else "",
            StudyInstanceUID=f"1.2.840.9999.{number}",
            **planted,
        )
    for hide in (False, True):
        table = table_of(folder, hide_names=hide)
        shown = repr((table, table.names)).lower()
        assert not [word for word in ("canary", "1.2.840", "anna", "1933") if word in shown]
        assert len(set(table.groups)) == 3
        assert table.grouping == "dicom"


def test_the_key_decides_on_the_groups(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    for number in range(2):
        write_dicom(folder / "xy"[number] / f"{number}", PatientID=f"{number}")
    other = read_table(folder, labelled=True, key=tmp_path / "other")
    assert not set(other.groups) & set(table_of(folder).groups)


def test_headers_are_read_only_where_groups_are_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unwanted(*arguments: object, **keywords: object) -> None:
        raise AssertionError(arguments)

    monkeypatch.setattr(grouping, "in_child", unwanted)
    folder = tmp_path / "data"
    for number in range(2):
        write_dicom(folder / "xy"[number] / f"p{number}", PatientID=f"{number}")
        Image.fromarray(np.zeros((4, 4), np.uint8)).save(folder / "xy"[number] / "a.png")
    key = tmp_path / "key"
    assert read_table(folder, labelled=False, key=key).grouping == "image"
    found = read_table(folder, labelled=True, group_pattern=r"p\d|a", key=key)
    assert found.groups == ("a", "p0", "a", "p1")
    rows = [["path", "label", "group"], ["data/x/p0", "x", "1"], ["data/y/p1", "y", "2"]]
    listed = read_table(written(tmp_path, *rows), labelled=True, key=key)
    assert listed.groups == ("1", "2")
    assert not key.exists()  # no pseudonym, no key


def test_a_manifest_comes_before_all_and_gaps_are_filled(tmp_path: Path) -> None:
    write_dicom(tmp_path / "1", PatientID="a")
    write_dicom(tmp_path / "2", PatientID="b")
    write_dicom(tmp_path / "3", PatientID="b")
    rows = [["path", "label", "group"], ["1", "x", "me"], ["2", "y", ""], ["3", "y", ""]]
    path = written(tmp_path, *rows)
    key = tmp_path / "key"
    table = read_table(path, labelled=True, key=key)
    hidden = Pseudonyms.load(key)
    assert table.groups == ("me", *[hidden.of("patient", "|b")] * 2)
    assert table.grouping == "dicom"  # as most images
    table = read_table(path, labelled=True, key=key, group_pattern="[12]")
    assert table.groups == ("me", "2", "3")


@pytest.mark.parametrize(
    ("pattern", "groups"),
    [
        (r"person\d+", ("person1", "person1", "b/c.png")),
        (r"^a/(person)(\d+)_", ("person-1", "person-1", "b/c.png")),
        (r"(x)?_(left)?", ("left", "_", "b/c.png")),
        (r"[^/]+$", ("person1_left.png", "person1_right.png", "c.png")),
        (r"b|$", ("a/person1_left.png", "a/person1_right.png", "b")),
    ],
)
def test_paths_tell_groups_by_a_pattern(
    tmp_path: Path, pattern: str, groups: tuple[str, ...]
) -> None:
    for name in ("a/person1_left.png", "a/person1_right.png", "b/c.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    table = read_table(tmp_path, labelled=True, group_pattern=pattern)
    assert table.groups == groups


def test_a_pattern_that_does_not_serve_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()

    def refusal(pattern: str) -> str:
        with pytest.raises(InputError) as caught:
            read_table(tmp_path, labelled=False, group_pattern=pattern)
        return str(caught.value)

    assert refusal("p(") == (
        "group_pattern: 'p(' is no regular expression (missing ), unterminated subpattern at "
        "position 1); correct it"
    )
    assert refusal(r"p\d") == (
        r"group_pattern: 'p\\d' matches none of 1 paths, such as a.png; correct it or leave it "
        "out"
    )
    assert "matches none" in refusal("x*")  # only the empty text, which tells nobody


def test_most_images_decide_on_what_the_grouping_is_called(tmp_path: Path) -> None:
    for name in "abc":
        (tmp_path / f"{name}.png").touch()
    rows = [["a.png", "p"], ["b.png", ""], ["c.png", ""]]
    table = read_table(written(tmp_path, ["path", "group"], *rows), labelled=False)
    assert (table.groups, table.grouping) == (("p", "b.png", "c.png"), "image")
    rows[1][1] = "p"
    table = read_table(written(tmp_path, ["path", "group"], *rows), labelled=False)
    assert (table.groups, table.grouping) == (("p", "p", "c.png"), "manifest")
