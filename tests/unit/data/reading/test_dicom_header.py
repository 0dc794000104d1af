"""What leaves a DICOM header, and what never does."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydicom.datadict import tag_for_keyword

from corpus.dicom_cases import FRAMES, GRAY8, GRAY12
from corpus.dicom_files import changed, header, native, shipped, write
from glcm_mae.data.reading.dicom import TECHNICAL_FIELDS, read_header
from glcm_mae.data.reading.dicom_header import IDENTIFYING
from glcm_mae.data.reading.policy import RefusedPixelsError

LITTLE = "1.2.840.10008.1.2.1"


def read(folder: Path, **elements: Any) -> dict[str, Any]:
    return read_header(native(GRAY12, **elements)(folder))


class TestTechnical:
    def test_values_of_a_file(self, tmp_path: Path) -> None:
        technical = read(
            tmp_path,
            BitsStored=12,
            Modality="CT",
            RescaleSlope="1",
            RescaleIntercept="-1024.5",
            RescaleType="HU",
            WindowCenter=["40", "-600"],
            WindowWidth=["400", "1500"],
            PixelSpacing=["0.5", "0.75"],
            PatientIdentityRemoved="YES",
        )["technical"]
        assert technical == {
            "Rows": 6,
            "Columns": 8,
            "SamplesPerPixel": 1,
            "BitsAllocated": 16,
            "BitsStored": 12,
            "HighBit": 11,
            "PixelRepresentation": 0,
            "RescaleSlope": 1,
            "RescaleIntercept": -1024.5,
            "WindowCenter": [40, -600],
            "WindowWidth": [400, 1500],
            "PixelSpacing": [0.5, 0.75],
            "Modality": "CT",
            "PhotometricInterpretation": "MONOCHROME2",
            "RescaleType": "HU",
            "PatientIdentityRemoved": "YES",
            "TransferSyntaxUID": LITTLE,
        }

    def test_every_value_is_plain(self, tmp_path: Path) -> None:
        facts = read_header(shipped("examples_overlay.dcm")(tmp_path))
        assert json.loads(json.dumps(facts)) == facts
        assert set(facts["technical"]) <= set(TECHNICAL_FIELDS)

    @pytest.mark.parametrize(
        ("keyword", "value"),
        [
            ("Modality", "DOE JOHN"),
            ("RescaleType", "JOHN DOE"),
            ("BurnedInAnnotation", "JOHN"),
            ("PatientIdentityRemoved", "MAYBE"),
            ("SliceThickness", "4711471147"),
            ("PixelSpacing", [str(n) for n in range(9)]),
        ],
    )
    def test_what_is_no_known_code_or_plain_number_does_not_pass(
        self, tmp_path: Path, keyword: str, value: Any
    ) -> None:
        assert keyword not in read(tmp_path, **{keyword: value})["technical"]

    def test_text_in_a_number_does_not_pass(self, tmp_path: Path) -> None:
        make = native(GRAY8, SliceThickness="12345678")
        path = changed(make, lambda data: data.replace(b"12345678", b"Canary^Y"))(tmp_path)
        assert "Canary^Y" not in json.dumps(read_header(path))

    def test_no_field_is_identifying(self) -> None:
        assert not set(TECHNICAL_FIELDS) & IDENTIFYING

    def test_every_name_is_one_of_the_standard(self) -> None:
        names = sorted({*TECHNICAL_FIELDS, *IDENTIFYING} - {"OverlayData", "OverlayComments"})
        assert [name for name in names if tag_for_keyword(name) is None] == []
        assert len(IDENTIFYING) >= 60


class TestIdentifying:
    def test_filled_elements_by_name_and_never_by_value(self, tmp_path: Path) -> None:
        facts = read(
            tmp_path,
            PatientBirthDate="19700101",
            InstitutionName="",
            ReferringPhysicianName="Canary^Doctor",
            StudyDescription="  ",
        )
        assert facts["identifying"] == [
            "PatientBirthDate",
            "PatientID",
            "PatientName",
            "ReferringPhysicianName",
        ]
        del facts["patient"], facts["study"]
        assert "Canary" not in json.dumps(facts)
        assert "1970" not in json.dumps(facts)

    def test_at_any_depth(self, tmp_path: Path) -> None:
        inner = {"PersonName": "Canary^Nested", "ConceptNameCodeSequence": []}
        facts = read(tmp_path, ContentSequence=[{"ContentSequence": [inner]}])
        assert "PersonName" in facts["identifying"]

    def test_private_elements_and_overlays(self, tmp_path: Path) -> None:
        data = header(GRAY8)
        data.PixelData = GRAY8.tobytes()
        data["PixelData"].VR = "OB"
        data.private_block(0x0011, "Canary Inc", create=True).add_new(1, "LO", "Canary")
        data.add_new(0x60023000, "OW", b"\x01\x00")
        data.add_new(0x60024000, "LT", "Canary")
        facts = read_header(write(tmp_path, data, LITTLE))
        assert {"private", "OverlayData", "OverlayComments"} <= set(facts["identifying"])
        assert "Canary" not in json.dumps(facts["identifying"])

    def test_nothing_where_nothing_is_filled(self, tmp_path: Path) -> None:
        facts = read(tmp_path, PatientName="", PatientID=None)
        assert facts["identifying"] == []
        assert facts["patient"] == "|"


def test_patient_study_frames_and_burned_in(tmp_path: Path) -> None:
    facts = read_header(
        native(FRAMES, IssuerOfPatientID="Hospital", BurnedInAnnotation="YES")(tmp_path)
    )
    assert facts["patient"] == "Hospital|C-1"
    assert facts["study"] == "1.2.3.4"
    assert facts["frames"] == 3
    assert facts["burned_in"] == "YES"
    assert read(tmp_path)["burned_in"] == ""


def test_files_without_pixels_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedPixelsError, match="no pixels"):
        read_header(shipped("test-SR.dcm")(tmp_path))
