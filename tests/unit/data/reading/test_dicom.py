"""DICOM decoding beyond the corpus: what is decoded, what is said, and what is never said."""

import logging
import sys
import threading
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.pixels import apply_modality_lut, apply_voi_lut

from corpus.dicom_cases import (
    FRAMES,
    GRAY8,
    GRAY12,
    HTJ2K_LOSSLESS,
    J2K_LOSSLESS,
    RLE,
    SMOOTH,
    encode,
)
from corpus.dicom_files import CANARY, changed, encapsulated, header, native, shipped, write
from glcm_mae.data.reading import dicom, dicom_pixels
from glcm_mae.data.reading.dicom import count_dicom_frames, decode_dicom
from glcm_mae.data.reading.dicom_file import open_dicom
from glcm_mae.data.reading.dicom_pixels import stored_frames, stream_size
from glcm_mae.data.reading.dicom_tone import expand_segments
from glcm_mae.data.reading.policy import ReadingPolicy, RefusedPixelsError, as_gray_levels

FILE = ReadingPolicy()
ALL = range(3)


def gray(path: Path, policy: ReadingPolicy = FILE, frames: Any = None) -> np.ndarray:
    return as_gray_levels(decode_dicom(path, frames, policy), policy)


def reason(path: Path, policy: ReadingPolicy = FILE, frames: Any = None) -> str:
    with pytest.raises(RefusedPixelsError) as error:
        decode_dicom(path, frames, policy)
    assert error.value.__cause__ is None  # a chain of pydicom's texts could be printed
    assert error.value.__suppress_context__ or error.value.__context__ is None
    assert error.value.remedy
    return error.value.reason


@pytest.fixture
def decoded_frames(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of the frames that were decoded."""
    numbers: list[int] = []
    decode = dicom_pixels._decoded

    def noted(file: Any, number: int) -> Any:
        numbers.append(number)
        return decode(file, number)

    monkeypatch.setattr(dicom_pixels, "_decoded", noted)
    return numbers


class TestWhatIsDecoded:
    def test_only_the_frames_asked_for(self, tmp_path: Path, decoded_frames: list[int]) -> None:
        path = native(FRAMES, RLE)(tmp_path)
        values = decode_dicom(path, [2, 0], FILE).values
        np.testing.assert_array_equal(values[..., 0], FRAMES[[2, 0]])
        assert decoded_frames == [2, 0]

    def test_all_frames_where_the_window_needs_them(
        self, tmp_path: Path, decoded_frames: list[int]
    ) -> None:
        path = native(FRAMES)(tmp_path)
        decoded = decode_dicom(path, [1], ReadingPolicy(window="range"))
        assert (decoded.black, decoded.white) == (FRAMES.min(), FRAMES.max())
        assert sorted(set(decoded_frames)) == [0, 1, 2]

    def test_no_frame_to_count(self, tmp_path: Path, decoded_frames: list[int]) -> None:
        assert count_dicom_frames(native(FRAMES)(tmp_path)) == 3
        assert decoded_frames == []

    def test_nothing_of_an_image_that_is_too_large(
        self, tmp_path: Path, decoded_frames: list[int]
    ) -> None:
        path = encapsulated(SMOOTH, J2K_LOSSLESS, encode("j2k"), Rows=50000, Columns=50000)(
            tmp_path
        )
        assert reason(path) == "more than 67108864 values"
        assert decoded_frames == []

    def test_a_frame_asked_for_twice(self, tmp_path: Path) -> None:
        values = decode_dicom(native(FRAMES)(tmp_path), [1, 1], FILE).values
        np.testing.assert_array_equal(values[0], values[1])

    def test_stored_values_stay_as_they_are_where_one_line_leads_to_gray(
        self, tmp_path: Path
    ) -> None:
        elements = {"RescaleSlope": "2", "RescaleIntercept": "-1024", "BitsStored": 12}
        path = native(GRAY12, **elements)(tmp_path)
        decoded = decode_dicom(path, None, ReadingPolicy(window="40/400"))
        assert decoded.values.dtype == np.uint16
        assert (decoded.black, decoded.white) == ((-160 + 1024) / 2, (240 + 1024) / 2)


class TestAgreementWithPydicom:
    @pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
    @pytest.mark.parametrize(("slope", "intercept"), [(1, -1024), (0.5, 10), (3, 0)])
    @pytest.mark.parametrize(("centre", "width"), [(40, 400), (1000.5, 77.5), (-500, 2)])
    def test_of_windows(
        self,
        tmp_path: Path,
        function: str,
        slope: float,
        intercept: float,
        centre: float,
        width: float,
    ) -> None:
        data = header(
            GRAY12,
            BitsStored=12,
            VOILUTFunction=function,
            RescaleSlope=str(slope),
            RescaleIntercept=str(intercept),
            WindowCenter=str(centre),
            WindowWidth=str(width),
        )
        data.PixelData = GRAY12.tobytes()
        data["PixelData"].VR = "OW"
        with np.errstate(over="ignore"):
            shown = apply_voi_lut(apply_modality_lut(GRAY12, data), data)
        low, high = intercept, 4095 * slope + intercept
        pixels = gray(write(tmp_path, data, "1.2.840.10008.1.2.1"))
        expected = (shown - low) / (high - low)
        np.testing.assert_allclose(pixels[0, 0], expected, atol=2e-6)

    def test_of_segments(self) -> None:
        from pydicom.pixels.processing import _expand_segmented_lut

        data = (0, 2, 5, 9, 1, 7, 250, 0, 1, 3, 1, 4, 3)
        expected = _expand_segmented_lut(data, "<13B")
        assert expand_segments(list(data), 14).tolist() == expected

    @pytest.mark.parametrize("data", [[1, 3, 9], [2, 1, 0, 0], [0, 1, 5, 2, 1, 0], [7, 1, 1]])
    def test_broken_or_indirect_segments_are_refused(self, data: list[int]) -> None:
        with pytest.raises(RefusedPixelsError, match="segments"):
            expand_segments(data, 9)


class TestStreams:
    @pytest.mark.parametrize("name", ["ls", "j2k", "lossless", "extended", "htj2k"])
    def test_tell_their_size(self, name: str) -> None:
        assert stream_size(encode(name)(SMOOTH)) == SMOOTH.shape

    @pytest.mark.parametrize("data", [b"", b"\xff\xd8", b"\xff\xd8\xff\xe0\x00\x02", b"no"])
    def test_without_a_size(self, data: bytes) -> None:
        assert stream_size(data) is None

    def test_jpeg_extended_leaves_pydicom_as_it_is(self, tmp_path: Path) -> None:
        from pydicom.pixels.decoders import JPEGExtended12BitDecoder

        before = JPEGExtended12BitDecoder.available_plugins
        gray(shipped("JPGExtended.dcm")(tmp_path))
        assert JPEGExtended12BitDecoder.available_plugins == before

    def test_high_throughput_needs_no_gdcm(self, tmp_path: Path) -> None:
        path = encapsulated(SMOOTH, HTJ2K_LOSSLESS, encode("htj2k"))(tmp_path)
        with open_dicom(path) as file:
            np.testing.assert_array_equal(next(stored_frames(file)), SMOOTH)


class TestWhatIsSaid:
    def test_of_missing_and_empty_files_and_folders(self, tmp_path: Path) -> None:
        assert reason(tmp_path / "none.dcm") == "No such file or directory"
        (tmp_path / "empty.dcm").touch()
        assert reason(tmp_path / "empty.dcm") == "the file is empty"
        assert reason(tmp_path) == "Is a directory"

    def test_of_what_is_no_dicom_file(self, tmp_path: Path) -> None:
        (tmp_path / "text.dcm").write_text("What a wonderful day. " * 30)
        assert reason(tmp_path / "text.dcm") in (
            "it holds no pixels",
            "its DICOM structure is broken",
        )

    def test_without_pydicom(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = native(GRAY8)(tmp_path)
        monkeypatch.setitem(sys.modules, "pydicom", None)
        with pytest.raises(RefusedPixelsError) as error:
            decode_dicom(path, None, FILE)
        assert error.value.remedy == "pip install 'glcm-mae[dicom]'"

    def test_without_a_decoder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from pydicom.pixels.decoders import JPEGLSLosslessDecoder

        path = encapsulated(SMOOTH, "1.2.840.10008.1.2.4.80", encode("ls"))(tmp_path)
        monkeypatch.setattr(JPEGLSLosslessDecoder, "_available", {})
        assert reason(path) == "no decoder for JPEG-LS Lossless Image Compression is installed"

    @pytest.mark.parametrize(
        ("keyword", "text"),
        [
            ("NumberOfFrames", "its NumberOfFrames is no integer"),
            ("RescaleSlope", "its RescaleSlope is no number"),
            ("WindowCenter", "its WindowCenter is no number"),
            ("PhotometricInterpretation", "its PhotometricInterpretation is not supported"),
            ("VOILUTFunction", "its VOILUTFunction is unknown"),
        ],
    )
    def test_no_value_of_the_header(self, tmp_path: Path, keyword: str, text: str) -> None:
        place = b"12345678"  # written as it is, then turned into a name

        def rename(data: bytes) -> bytes:
            assert place in data
            return data.replace(place, b"Canary^Y")

        window = {"WindowCenter": "1", "WindowWidth": "9"}
        make = native(GRAY8, **(window | {keyword: place.decode()}))
        said = reason(changed(make, rename)(tmp_path))
        assert said.startswith(text)
        assert "Canary" not in said

    def test_nothing_of_what_pydicom_says(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def talk(*_: Any) -> Any:
            raise ValueError(f"the patient is {CANARY}")

        monkeypatch.setattr(dicom_pixels, "_decoded", talk)
        said = reason(native(GRAY8)(tmp_path))
        assert said == "its Explicit VR Little Endian pixels cannot be decoded"
        monkeypatch.setattr(dicom, "choose_frames", talk)
        assert reason(native(GRAY8)(tmp_path)) == "its DICOM structure is broken"

    def test_a_lack_of_memory_is_told_as_such(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def grow(*_: Any) -> Any:
            raise MemoryError

        monkeypatch.setattr(dicom_pixels, "_decoded", grow)
        with pytest.raises(MemoryError):
            decode_dicom(native(GRAY8)(tmp_path), None, FILE)


class TestSilence:
    @staticmethod
    def noisy(folder: Path) -> Path:
        """A file about which pydicom warns, with a value in the warning."""
        make = native(GRAY8, StudyInstanceUID="1.2.3.45")
        return changed(make, lambda data: data.replace(b"1.2.3.45", b"Canary^Y"))(folder)

    def test_pydicom_would_warn(self, tmp_path: Path) -> None:
        import pydicom

        with pytest.warns(UserWarning, match="Canary"):
            str(pydicom.dcmread(self.noisy(tmp_path)).StudyInstanceUID)

    def test_no_warning_and_no_record_leaves(
        self,
        tmp_path: Path,
        caplog: pytest.LogCaptureFixture,
        capfd: pytest.CaptureFixture[str],
    ) -> None:
        path = self.noisy(tmp_path)
        broken = encapsulated(SMOOTH, J2K_LOSSLESS, lambda _: bytes(50) + b"\xff\xd9")(tmp_path)
        with caplog.at_level(logging.DEBUG), warnings.catch_warnings():
            warnings.simplefilter("error")
            dicom.read_header(path)
            assert "JPEG 2000" in reason(broken)
        assert [record for record in caplog.records if "pydicom" in record.name] == []
        assert capfd.readouterr() == ("", "")

    def test_levels_and_filters_are_as_before(self, tmp_path: Path) -> None:
        before = logging.getLogger("pydicom").level, list(warnings.filters)
        path = native(GRAY8)(tmp_path)
        threads = [threading.Thread(target=gray, args=(path,)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (logging.getLogger("pydicom").level, list(warnings.filters)) == before


def test_a_header_of_many_frames_that_are_not_there_is_refused_at_once(tmp_path: Path) -> None:
    path = native(GRAY8, NumberOfFrames=2**31 - 1)(tmp_path)
    with pytest.raises(RefusedPixelsError, match="truncated"):
        count_dicom_frames(path)


def test_values_before_the_pixels_that_lie_about_their_length(tmp_path: Path) -> None:
    def grow(data: bytes) -> bytes:
        place = data.index(b"\x10\x00\x10\x00PN") + 6
        return data[:place] + b"\xff\xff" + data[place + 2 :]

    assert reason(changed(native(GRAY8), grow)(tmp_path)) == "it holds no pixels"


def test_numbers_may_be_several_or_none() -> None:
    from glcm_mae.data.reading.dicom_tone import read_number

    data = Dataset()
    data.WindowCenter = MultiValue(float, [4, 5])
    assert read_number(data, "WindowCenter", None) == 4
    data.WindowWidth = None
    assert read_number(data, "WindowWidth", 9.0) == 9.0
    data.WindowWidth = 1.0
    data["WindowWidth"]._value = float("inf")
    with pytest.raises(RefusedPixelsError, match="WindowWidth is not finite"):
        read_number(data, "WindowWidth", None)
