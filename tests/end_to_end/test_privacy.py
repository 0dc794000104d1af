"""Nothing that names a patient leaves the images: planted names are searched in all outputs."""

import base64
import json
import re
import socket
import urllib.parse
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin
from tiny import FINETUNE, PRETRAIN, TINY, Command

from glcm_mae.data import make_phantom

pydicom = pytest.importorskip("pydicom")
nibabel = pytest.importorskip("nibabel")

TEXT_TAGS = [
    "PatientName",
    "PatientAddress",
    "PatientComments",
    "OtherPatientNames",
    "PatientMotherBirthName",
    "AccessionNumber",
    "InstitutionName",
    "InstitutionAddress",
    "ReferringPhysicianName",
    "OperatorsName",
    "PerformingPhysicianName",
    "NameOfPhysiciansReadingStudy",
    "StudyDescription",
    "SeriesDescription",
    "StationName",
    "InstitutionalDepartmentName",
    "ProtocolName",
    "StudyID",
    "DeviceSerialNumber",
    "ManufacturerModelName",
    "Manufacturer",
    "RequestingPhysician",
    "AdmittingDiagnosesDescription",
    "PatientTelephoneNumbers",
    "EthnicGroup",
    "Occupation",
    "AdditionalPatientHistory",
    "ImageComments",
    "PatientInsurancePlanCodeSequence",
    "RequestedProcedureDescription",
    "DerivationDescription",
    "PerformedProcedureStepDescription",
    "ContentCreatorName",
]
UIDS = {
    "StudyInstanceUID": "1.2.826.0.1.3680043.8.498.111",
    "SeriesInstanceUID": "1.2.826.0.1.3680043.8.498.222",
}
DATES = {"PatientBirthDate": "19470223", "StudyDate": "20190731", "ContentTime": "071829.5151"}
QUICK = ("--evaluation.resamples", "200")
HOST, USER = "canary-host-7", "canary-user-8"


class Canaries:
    """Strings that stand in headers and names and must stand nowhere else."""

    def __init__(self) -> None:
        self.planted: set[str] = {HOST, USER}

    def new(self, place: str) -> str:
        word = f"Canary{len(self.planted):03d}{place[:6]}"
        self.planted.add(word)
        return word

    def keep(self, word: str) -> str:
        self.planted.add(word)
        return word


@pytest.fixture(scope="module")
def canaries() -> Canaries:
    return Canaries()


def write_dicom(path: Path, canaries: Canaries, seed: int, patient: str) -> None:
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.sequence import Sequence
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    pixels = make_phantom(("fine", "coarse")[seed % 2], size=32, seed=seed).image * 4095
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    data.SOPInstanceUID = canaries.keep(generate_uid())
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID
    data.PatientID = canaries.keep(f"CanaryPatient{patient}")
    data.IssuerOfPatientID = canaries.keep("CanaryIssuer")
    for number, (tag, root) in enumerate(UIDS.items()):
        setattr(data, tag, canaries.keep(f"{root}.{number}.{patient}"))
    for tag, value in DATES.items():
        setattr(data, tag, canaries.keep(value))
    for tag in TEXT_TAGS:
        if not tag.endswith("Sequence"):
            setattr(data, tag, canaries.new(tag))
    nested = Dataset()
    nested.CodeMeaning = canaries.new("Nested")
    nested.PersonName = canaries.new("NestedName")
    data.RequestAttributesSequence = Sequence([nested])
    block = data.private_block(0x0029, canaries.new("Creator"), create=True)
    block.add_new(0x01, "LO", canaries.new("Private"))
    data.Modality, data.BurnedInAnnotation = "US", "NO"
    data.Rows, data.Columns, data.SamplesPerPixel = 32, 32, 1
    data.PhotometricInterpretation = "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 12, 11, 0
    data.WindowCenter, data.WindowWidth = 2048, 4096
    data.PixelData = pixels.astype("<u2").tobytes()
    pydicom.dcmwrite(path, data, enforce_file_format=True)


@pytest.fixture(scope="module")
def clinic(canaries: Canaries, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 DICOM files of 12 patients in two classes, each name and folder a canary."""
    root = tmp_path_factory.mktemp("clinic")
    for number in range(24):
        name = canaries.new("FileName")
        folder = root / ("well", "ill")[number % 2] / canaries.new("Folder")
        folder.mkdir(parents=True)
        write_dicom(
            folder / f"{name}.dcm", canaries, number, patient=f"1{number // 4}{number % 2}"
        )
    return root


@pytest.fixture(scope="module")
def mixed(canaries: Canaries, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """PNG with text and EXIF, NIfTI with a description, JPEG with EXIF, and DICOM."""
    root = tmp_path_factory.mktemp("mixed")
    for number in range(8):
        image = Image.fromarray(
            np.uint8(make_phantom("fine", size=32, seed=number).image * 255)
        )
        info = PngImagePlugin.PngInfo()
        info.add_text("Author", canaries.new("PngText"))
        info.add_itxt("XML:com.adobe.xmp", canaries.new("Xmp"))
        exif = Image.Exif()
        exif[0x013B] = canaries.new("Artist")
        image.save(root / f"{canaries.new('Png')}.png", pnginfo=info, exif=exif)
        image.save(root / f"{canaries.new('Jpeg')}.jpg", exif=exif, comment=canaries.new("Com"))
    volume = nibabel.Nifti1Image(
        np.random.default_rng(0).random((32, 32, 4), np.float32), np.eye(4)
    )
    volume.header["descrip"] = canaries.new("Descrip").encode()
    volume.header["db_name"] = canaries.keep("CanaryDb").encode()
    volume.header["aux_file"] = canaries.keep("CanaryAux").encode()
    nibabel.save(volume, root / f"{canaries.new('Nifti')}.nii.gz")
    write_dicom(root / f"{canaries.new('Dicom')}.dcm", canaries, 99, patient="99")
    return root


def forms(word: str) -> set[bytes]:
    """Return a word as it may be spelled: plain, UTF-16, base64 at any offset, escaped."""
    plain = word.encode()
    spelled = {plain, word.encode("utf-16-le"), word.encode("utf-16-be")}
    spelled |= {urllib.parse.quote(word, safe="").encode(), json.dumps(word)[1:-1].encode()}
    for offset in range(3):
        text = base64.b64encode(b"\0" * offset + plain)
        spelled.add(text[4 if offset else 0 : -4])
    return {form for form in spelled if len(form) >= 6}


def contents(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the name and the content of every file, and of every member of an archive."""
    for path in sorted(folder.rglob("*")):
        yield f"the name {path.name}", path.relative_to(folder).as_posix().encode()
        if not path.is_file():
            continue
        yield path.name, path.read_bytes()
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                for member in archive.namelist():
                    yield f"{path.name}:{member}", archive.read(member)


def found_in(pieces: Iterator[tuple[str, bytes]], canaries: Canaries) -> list[str]:
    spelled = {form: word for word in canaries.planted for form in forms(word)}
    pattern = re.compile(b"|".join(re.escape(form) for form in sorted(spelled, key=len)[::-1]))
    return [
        f"{word} in {name}"
        for name, content in pieces
        for word in {spelled[hit.group()] for hit in pattern.finditer(content)}
    ]


def test_the_search_finds_what_is_there(tmp_path: Path) -> None:
    canaries = Canaries()
    word = canaries.new("Here")
    (tmp_path / "plain.txt").write_text(f"a {word} b")
    (tmp_path / "wide.bin").write_bytes(word.encode("utf-16-le"))
    (tmp_path / "coded.txt").write_bytes(base64.b64encode(b"x" + word.encode() + b"yz"))
    with zipfile.ZipFile(tmp_path / "packed.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", word * 3)
    assert len(found_in(contents(tmp_path), canaries)) == 4


@pytest.fixture
def strange_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(socket, "gethostname", lambda: HOST)
    for name in ("USER", "LOGNAME", "USERNAME"):
        monkeypatch.setenv(name, USER)
    monkeypatch.setenv("GLCM_MAE_KEY", str(tmp_path / "secret" / "key"))
    return tmp_path / "outputs"


@pytest.mark.slow
def test_no_planted_name_in_any_output(
    clinic: Path, mixed: Path, canaries: Canaries, strange_machine: Path, glcm_mae: Command
) -> None:
    out = strange_machine
    common = ("--data.cache", out / "cache", "--data.names", "hashed")
    labelled = ("--data.table", clinic, "--data.positive", "ill", *common)
    told = []
    for command in (
        ("pretrain", "--data.table", mixed, "--data.frames", "middle", *common, *PRETRAIN),
        ("crossval", *labelled, *PRETRAIN, *FINETUNE, "--folds.count", "2", *QUICK),
        ("finetune", *labelled, *TINY, *FINETUNE, "--start", "scratch", *QUICK),
        ("data", "audit", clinic, *common),
        ("data", "shard", *labelled, "--model.image_size", "32"),
        ("data", "split", *labelled, "--folds.count", "2"),
    ):
        name = "-".join(word for word in map(str, command[:2]) if not word.startswith("-"))
        where = out / Path(name).name
        target = where.with_suffix(".csv") if "split" in name else where
        code, printed, errors = glcm_mae(*command, "--out", target)
        assert code == 0, errors
        told.append((f"the terminal of {name}", (printed + errors).encode()))
    table = ("--table", clinic, "--names", "hashed")
    code, printed, errors = glcm_mae("texture", *table, "--out", out / "features.parquet")
    assert code == 0, errors
    code, printed, errors = glcm_mae(
        *("reconstruct", out / "pretrain", "--data.table", mixed, "--data.frames", "middle"),
        *("--data.names", "hashed", "--data.cache", out / "cache"),
        *("--resamples", "200", "--out", out / "reconstructions"),
    )
    assert code == 0, errors
    assert sum(1 for _ in contents(out)) > 60
    assert found_in(iter([*told, *contents(out)]), canaries) == []
    assert (out.parent / "secret" / "key").is_file()


def test_plain_names_show_paths_but_nothing_of_a_header(
    clinic: Path, canaries: Canaries, strange_machine: Path, glcm_mae: Command
) -> None:
    out = strange_machine
    code, _, errors = glcm_mae(
        *("finetune", "--data.table", clinic, "--data.positive", "ill", *TINY, *FINETUNE),
        *("--start", "scratch", *QUICK, "--out", out / "run"),
    )
    assert code == 0, errors
    found = found_in(contents(out), canaries)
    assert found
    assert all("FileNa" in hit or "Folder" in hit for hit in found)


def test_a_broken_file_is_named_without_its_patient(
    clinic: Path, canaries: Canaries, tmp_path: Path, glcm_mae: Command
) -> None:
    whole = next(clinic.rglob("*.dcm")).read_bytes()
    for number, cut in enumerate((200, 700, len(whole) - 500, len(whole) - 1)):
        (tmp_path / "broken").mkdir(exist_ok=True)
        (tmp_path / "broken" / f"{number}.dcm").write_bytes(whole[:cut])
    code, printed, errors = glcm_mae(
        *("pretrain", "--data.table", tmp_path / "broken", *PRETRAIN, "--out", tmp_path / "run")
    )
    assert code == 2
    assert found_in(iter([("the error", (printed + errors).encode())]), canaries) == []
    assert not (tmp_path / "run").exists()
