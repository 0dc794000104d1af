"""DICOM files made on the spot: a known array, the elements that matter, and a canary name."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

Make = Callable[[Path], Path]
CANARY = "Canary^Yellow"


def ramp(*shape: int, low: int = 0, high: int = 255, dtype: Any = np.uint8) -> np.ndarray:
    """Values that rise from ``low`` to ``high``, all of them different if there is room."""
    return np.linspace(low, high, int(np.prod(shape))).round().astype(dtype).reshape(shape)


def data_set(**elements: Any) -> Any:
    """A data set of any elements, the values of sequences given as lists of dicts."""
    from pydicom.dataset import Dataset

    result = Dataset()
    for keyword, value in elements.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            value = [data_set(**item) for item in value]
        setattr(result, keyword, value)
    return result


def header(values: np.ndarray, **elements: Any) -> Any:
    """The elements of an image: axes (frames, rows, columns[, 3]), or fewer."""
    colour = values.ndim > 2 and values.shape[-1] == 3
    frames = values if values.ndim == 3 + colour else values[None]
    bits = values.dtype.itemsize * 8
    facts = {
        "PatientName": CANARY,
        "PatientID": "C-1",
        "StudyInstanceUID": "1.2.3.4",
        "SOPClassUID": "1.2.840.10008.5.1.4.1.1.7",
        "SOPInstanceUID": "1.2.3.4.5",
        "SamplesPerPixel": 3 if colour else 1,
        "PhotometricInterpretation": "RGB" if colour else "MONOCHROME2",
        "Rows": frames.shape[1],
        "Columns": frames.shape[2],
        "BitsAllocated": bits,
        "BitsStored": elements.get("BitsStored", bits),
        "HighBit": elements.get("BitsStored", bits) - 1,
        "PixelRepresentation": int(values.dtype.kind == "i"),
    }
    if colour:
        facts["PlanarConfiguration"] = 0
    if len(frames) > 1:
        facts["NumberOfFrames"] = len(frames)
    return data_set(**(facts | elements))


def write(folder: Path, data: Any, syntax: str, name: str = "image.dcm") -> Path:
    """Write a data set with preamble and meta information."""
    from pydicom.dataset import FileMetaDataset

    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = syntax
    data.save_as(folder / name, enforce_file_format=True)
    return folder / name


def native(
    values: np.ndarray, syntax: str = "1.2.840.10008.1.2.1", vr: str = "", **elements: Any
) -> Make:
    """An uncompressed (or deflated, or RLE) file of an array."""

    def make(folder: Path) -> Path:
        from pydicom.uid import UID, RLELossless

        data = header(values, **elements)
        order = ">" if syntax == "1.2.840.10008.1.2.2" else "<"
        if values.dtype.kind == "f":
            keyword = "FloatPixelData" if values.dtype.itemsize == 4 else "DoubleFloatPixelData"
            for unused in ("BitsStored", "HighBit", "PixelRepresentation"):
                del data[unused]
        else:
            keyword = "PixelData"
        raw = values.astype(values.dtype.newbyteorder(order)).tobytes()
        raw += b"\0" * (len(raw) % 2)
        if order == ">" and vr == "OW" and values.dtype.itemsize == 1:
            raw = np.frombuffer(raw, "u2").byteswap().tobytes()
        setattr(data, keyword, raw)
        if keyword == "PixelData":
            data["PixelData"].VR = vr or ("OB" if values.dtype.itemsize == 1 else "OW")
        if UID(syntax) == RLELossless:
            data.compress(
                RLELossless, values, encoding_plugin="pydicom", generate_instance_uid=False
            )
        return write(folder, data, syntax)

    return make


def encapsulated(
    values: np.ndarray,
    syntax: str,
    encode: Callable[[np.ndarray], bytes],
    *,
    fragments: int = 1,
    offsets: bool = True,
    **elements: Any,
) -> Make:
    """A compressed file: each frame encoded by ``encode``."""

    def make(folder: Path) -> Path:
        from pydicom.encaps import encapsulate

        data = header(values, **elements)
        frames = values if "NumberOfFrames" in data else values[None]
        streams = [encode(frame) for frame in frames]
        data.PixelData = encapsulate(streams, fragments_per_frame=fragments, has_bot=offsets)
        data["PixelData"].VR = "OB"
        data["PixelData"].is_undefined_length = True
        return write(folder, data, syntax)

    return make


def changed(make: Make, change: Callable[[bytes], bytes]) -> Make:
    """A file of which the bytes are changed afterwards."""

    def altered(folder: Path) -> Path:
        path = make(folder)
        path.write_bytes(change(path.read_bytes()))
        return path

    return altered


def shipped(name: str) -> Make:
    """A file that pydicom ships in its wheel, copied."""

    def make(folder: Path) -> Path:
        path = folder / Path(name).name
        path.write_bytes(shipped_file(name).read_bytes())
        return path

    return make


def shipped_file(name: str) -> Path:
    import pydicom

    return Path(pydicom.__file__).parent / "data" / "test_files" / name


def table(first: int, entries: Sequence[int], bits: int) -> list[dict[str, Any]]:
    """A modality or VOI look-up table of one item, entries in words."""
    raw = np.asarray(entries, "<u2").tobytes()
    return [{"LUTDescriptor": [len(entries), first, bits], "LUTData": raw}]


def palette(
    colours: np.ndarray, first: int = 0, *, segments: Sequence[bytes] = ()
) -> dict[str, Any]:
    """The palettes of an array of shape (entries, 3), as tables or as segments given."""
    found: dict[str, Any] = {"PhotometricInterpretation": "PALETTE COLOR"}
    bits = colours.dtype.itemsize * 8
    for number, name in enumerate(("Red", "Green", "Blue")):
        stem = f"{name}PaletteColorLookupTable"
        found[f"{stem}Descriptor"] = [len(colours) % 2**16, first, bits]
        if segments:
            found[f"Segmented{stem}Data"] = segments[number]
        else:
            raw = colours[:, number].tobytes()
            found[f"{stem}Data"] = raw + b"\0" * (len(raw) % 2)
    return found
