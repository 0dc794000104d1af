"""NIfTI and NumPy files made on the spot, and what must come of them."""

import gzip
import io
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from corpus.case import Case
from corpus.dicom_files import Make, changed, ramp
from glcm_mae.data.reading.policy import ReadingPolicy

VOLUME = ramp(4, 5, 6, high=119)  # every value tells its voxel
WIDE = ramp(4, 5, 6, high=60000, dtype=np.uint16)
SIGNED = ramp(4, 5, 6, low=-1000, high=1000, dtype=np.int16)
RAS = np.diag((2.0, 3.0, 4.0, 1.0))
RANGE = ReadingPolicy(window="range")


def axis(number: int, window: str = "file") -> ReadingPolicy:
    return ReadingPolicy(axis=number, window=window)


def stretch(values: Any, low: float, high: float) -> np.ndarray:
    """Shape (1, height, width): low becomes 0, high 1."""
    return ((np.asarray(values, np.float64) - low) / (high - low)).clip(0, 1)[None]


def radiological(ras: np.ndarray, cut: int, number: int) -> np.ndarray:
    """A slice of a volume whose axes run to the right, the front and the head: the last

    axis left runs up, the other one to the left.
    """
    return np.take(ras, number, cut)[::-1, ::-1].T


def nifti(
    values: np.ndarray, affine: np.ndarray = RAS, name: str = "volume.nii", **header: Any
) -> Make:
    """A file that nibabel writes, some fields of its header then set."""

    def make(folder: Path) -> Path:
        import nibabel

        kind = nibabel.Nifti2Image if header.get("two") else nibabel.Nifti1Image
        image = kind(values, affine, dtype=values.dtype)
        image.header["descrip"] = b"Canary^Yellow"
        for field in ("cal_min", "cal_max"):
            image.header[field] = header.get(field, 0)
        if "slope" in header:
            image.header.set_slope_inter(header["slope"], header["inter"])
        nibabel.save(image, folder / name)
        return folder / name

    return make


def scaled(values: np.ndarray, slope: float, inter: float) -> Make:
    """A file whose stored values are those given: nibabel would choose slopes of its own."""

    def patch(data: bytes) -> bytes:
        return data[:112] + struct.pack("<2f", slope, inter) + data[120:]

    return changed(nifti(values), patch)


def raw(name: str, data: bytes) -> Make:
    def make(folder: Path) -> Path:
        (folder / name).write_bytes(data)
        return folder / name

    return make


def npy(values: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, values, allow_pickle=False)
    return file.getvalue()


def npy_header(shape: str, dtype: str = "|u1") -> bytes:
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}}}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text.encode()


def npz(compressed: bool = True, **members: Any) -> bytes:
    """A zip archive of arrays, or of bytes as they are; ``__`` in a name becomes ``/``."""
    file = io.BytesIO()
    method = zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in members.items():
            data = content if isinstance(content, bytes) else npy(content)
            archive.writestr(name.replace("__", "/") + ".npy", data)
    return file.getvalue()


def case(
    kind: str,
    name: str,
    content: str,
    outcome: str,
    make: Make,
    expected: Callable[[], Any] | None = None,
    **facts: Any,
) -> Case:
    return Case(
        name=f"{kind.lower()}-{name}",
        kind=kind,
        content=content,
        outcome=outcome,
        oracle=facts.pop("oracle", "by construction"),
        make=make,
        expected=None if expected is None else lambda path: np.asarray(expected()),
        **({"tolerance": 1e-6} | facts),
    )


def refused(kind: str, name: str, content: str, reason: str, make: Make, **facts: Any) -> Case:
    return case(kind, name, content, f"refused: {reason}", make, refusal=reason, **facts)


def turns() -> list[Case]:
    """Slices by radiological convention, however the file stores the axes."""
    names = ("sagittal", "coronal", "axial")
    cases = [
        case("NIfTI", name, f"RAS volume, axis {cut}", "head or front up, right on the left",
             nifti(VOLUME), lambda cut=cut: stretch(radiological(VOLUME, cut, 2), 0, 255),
             policy=axis(cut), frame=2)
        for cut, name in enumerate(names)
    ]  # fmt: skip
    mirrored = np.diag((-2.0, -3.0, 4.0, 1.0))
    swapped = np.array([[0, 0, 2.0, 0], [3.0, 0, 0, 0], [0, -4.0, 0, 0], [0, 0, 0, 1]])
    oblique = RAS.copy()
    oblique[:3, :3] = oblique[:3, :3] + 0.4

    def canonical(affine: np.ndarray) -> np.ndarray:
        import nibabel

        image = nibabel.Nifti1Image(VOLUME, affine)
        return np.asarray(nibabel.as_closest_canonical(image).dataobj)

    return cases + [
        case("NIfTI", f"{what}-{names[cut]}", f"{told}, axis {cut}", "turned the same way",
             nifti(VOLUME, affine), lambda affine=affine, cut=cut: stretch(
                 radiological(canonical(affine), cut, 1), 0, 255),
             policy=axis(cut), frame=1, oracle="nibabel.as_closest_canonical")
        for what, told, affine in (("lps", "LPS volume", mirrored),
                                   ("swapped", "axes swapped and mirrored", swapped),
                                   ("oblique", "oblique volume", oblique))
        for cut in (0, 2)
    ]  # fmt: skip


def nifti_values() -> list[Case]:
    flat = VOLUME[:, :, 3]
    upright = radiological(VOLUME, 2, 3)
    colours = np.stack([VOLUME, VOLUME[::-1], VOLUME[:, ::-1]], axis=-1)
    rgb = colours.view([("R", "u1"), ("G", "u1"), ("B", "u1")])[..., 0]
    unit = (VOLUME / np.float32(119)).astype(np.float32)
    third = radiological(SIGNED, 2, 3).astype(float)
    red = np.stack([radiological(colours[..., c], 2, 3) / 255 for c in range(3)])
    units = SIGNED * 0.5 - 24
    return [
        case("NIfTI", "gzip", "compressed by gzip", "as without",
             nifti(VOLUME, name="volume.nii.gz"), lambda: stretch(upright, 0, 255), frame=3),
        case("NIfTI", "version-2", "NIfTI-2", "value / 255", nifti(VOLUME, two=True),
             lambda: stretch(upright, 0, 255), frame=3),
        case("NIfTI", "uint16", "16-bit gray", "value / 65535", nifti(WIDE),
             lambda: stretch(radiological(WIDE, 2, 3), 0, 65535), frame=3),
        case("NIfTI", "image", "2-D image", "one frame, turned", nifti(flat),
             lambda: stretch(upright, 0, 255)),
        case("NIfTI", "single-slice", "volume of one slice, axis 0",
             "one frame whatever the axis",
             nifti(flat[:, :, None]), lambda: stretch(upright, 0, 255), policy=axis(0)),
        case("NIfTI", "single-time", "time axis of length 1", "as without",
             nifti(VOLUME[..., None]), lambda: stretch(upright, 0, 255), frame=3),
        case("NIfTI", "range", "signed volume, policy range", "one range for all slices",
             nifti(SIGNED), lambda: stretch(third, -1000, 1000), policy=RANGE, frame=3),
        case("NIfTI", "percentile", "signed volume, policy percentile",
             "percentiles of all slices", nifti(SIGNED),
             lambda: stretch(third, *np.percentile(SIGNED, (0.5, 99.5))),
             policy=ReadingPolicy(window="percentile"), frame=3),
        case("NIfTI", "scaled-window", "slope 0.5, intercept -24, window 100/400",
             "window on scaled values", scaled(SIGNED, 0.5, -24),
             lambda: stretch(radiological(units, 2, 3), -100, 300),
             policy=ReadingPolicy(window="100/400"), frame=3),
        case("NIfTI", "slope-negative", "slope -0.5, policy percentile",
             "percentiles of scaled values", scaled(SIGNED, -0.5, 24),
             lambda: stretch(radiological(-units, 2, 3), *np.percentile(-units, (0.5, 99.5))),
             policy=ReadingPolicy(window="percentile"), frame=3, tolerance=1e-5),
        case("NIfTI", "slope-0", "slope 0", "no scaling", scaled(VOLUME, 0, 9),
             lambda: stretch(upright, 0, 255), frame=3),
        case("NIfTI", "slope-nan", "slope not a number", "no scaling",
             scaled(VOLUME, float("nan"), 9), lambda: stretch(upright, 0, 255), frame=3),
        case("NIfTI", "calibrated", "cal_min -100, cal_max 300", "the stated window",
             nifti(SIGNED, cal_min=-100, cal_max=300), lambda: stretch(third, -100, 300),
             frame=3),
        case("NIfTI", "float-unit", "32-bit floats in [0, 1]", "the value itself", nifti(unit),
             lambda: radiological(unit, 2, 3)[None], frame=3),
        case("NIfTI", "rgb", "RGB24", "value / 255", nifti(rgb), lambda: red,
             policy=ReadingPolicy(channels=3), frame=3),
    ]  # fmt: skip


def _without_affine(data: bytes) -> bytes:
    """Say that the sform counts, and that it is 0."""
    return data[:252] + struct.pack("<2h", 0, 1) + data[256:280] + bytes(48) + data[328:]


def nifti_refusals() -> list[Case]:
    unit = VOLUME.astype(np.float32)
    hole = unit.copy()
    hole[1, 1, 3] = np.nan
    film = np.stack([VOLUME, VOLUME], axis=-1)
    plain = nifti(VOLUME)
    huge = struct.pack("<8h", 3, 30000, 30000, 30000, 1, 1, 1, 1)
    long = struct.pack("<8h", 3, 4, 5, 30000, 1, 1, 1, 1)
    zipped = nifti(ramp(40, 40, 40), name="volume.nii.gz")

    def refuse(name: str, content: str, reason: str, make: Make, **facts: Any) -> Case:
        return refused("NIfTI", name, content, reason, make, **({"frame": 0} | facts))

    return [
        refuse("signed", "signed volume, window file", "no known white", nifti(SIGNED)),
        refuse("float", "floats up to 119, window file", "no known white", nifti(unit)),
        refuse("nan", "a value that is not a number", "not a number", nifti(hole), frame=3,
               policy=RANGE),
        refuse("time", "2 volumes in one file", "4 axes, up to 3", nifti(film)),
        refuse("none-chosen", "6 slices, none chosen", "6 frames, one is needed", plain,
               frame=None),
        refuse("beyond", "6 slices, frame 6", "frame 6 does not exist", plain, frame=6),
        refuse("complex", "complex numbers", "complex64 values are no gray levels",
               nifti(VOLUME.astype(np.complex64))),
        refuse("truncated", "cut off", "truncated", changed(plain, lambda data: data[:-9])),
        refuse("truncated-gzip", "gzip, cut off", "broken or truncated",
               changed(zipped, lambda data: data[: len(data) * 2 // 3]), policy=axis(1)),
        refuse("absurd-size", "30000 x 30000 x 30000 promised", "more than 67108864 values",
               changed(plain, lambda data: data[:40] + huge + data[56:])),
        refuse("gzip-promise", "gzip, more promised than it can inflate to", "truncated",
               changed(nifti(VOLUME, name="volume.nii.gz"), lambda data: gzip.compress(
                   gzip.decompress(data)[:40] + long + gzip.decompress(data)[56:]))),
        refuse("pair", "header of a pair", "in another file",
               changed(plain, lambda data: data[:344] + b"ni1\0" + data[348:])),
        refuse("affine", "an affine without inverse", "affine has no inverse",
               changed(plain, _without_affine)),
        refuse("header-only", "nothing after the header", "truncated",
               changed(plain, lambda data: data[:348])),
    ]  # fmt: skip


def arrays() -> list[Case]:
    image = ramp(6, 7)
    colours = np.stack([image, image[::-1], image[:, ::-1]], axis=-1)
    rgb = np.moveaxis(colours / 255, -1, 0)
    colour = ReadingPolicy(channels=3)
    checks = np.indices((5, 6)).sum(0) % 2 == 0
    unit = (image / 255).astype(np.float64)

    def made(
        name: str, content: str, outcome: str, values: np.ndarray, expected: Any, **facts: Any
    ) -> Case:
        return case(
            "NPY", name, content, outcome, raw("array.npy", npy(values)), expected, **facts
        )

    return [
        made("uint8", "8-bit gray", "value / 255", image, lambda: stretch(image, 0, 255)),
        made("uint16", "16-bit gray", "value / 65535", WIDE[0],
             lambda: stretch(WIDE[0], 0, 65535)),
        made("big-endian", "16-bit gray, big-endian", "value / 65535", WIDE[0].astype(">u2"),
             lambda: stretch(WIDE[0], 0, 65535)),
        made("bool", "booleans", "0 and 1", checks, lambda: checks[None].astype(float)),
        made("bool-range", "booleans, policy range", "0 and 1", checks,
             lambda: checks[None].astype(float), policy=RANGE),
        made("float64", "64-bit floats in [0, 1]", "the value itself", unit,
             lambda: unit[None]),
        made("float16", "16-bit floats in [0, 1]", "the value itself", unit.astype(np.float16),
             lambda: unit.astype(np.float16)[None]),
        made("int16-range", "16-bit signed, policy range", "least is 0, greatest is 1",
             SIGNED[0], lambda: stretch(SIGNED[0], SIGNED[0].min(), SIGNED[0].max()),
             policy=RANGE),
        made("int32-given", "32-bit signed, window 0/1000", "-500 is black, 500 white",
             SIGNED[0].astype(np.int32), lambda: stretch(SIGNED[0], -500, 500),
             policy=ReadingPolicy(window="0/1000")),
        made("float-percentile", "floats, policy percentile",
             "percentiles of the finite values",
             unit * 7 - 2, lambda: stretch(unit, *np.percentile(unit, (0.5, 99.5))),
             policy=ReadingPolicy(window="percentile")),
        made("rgb", "(height, width, 3)", "colour", colours, lambda: rgb, policy=colour),
        made("fortran", "gray in Fortran order", "as in C order", np.asfortranarray(image),
             lambda: stretch(image, 0, 255)),
        *(made(f"volume-{cut}", f"volume, axis {cut}", "cut along that axis, not turned",
        VOLUME,
               lambda cut=cut: stretch(np.take(VOLUME, 2, cut), 0, 255), policy=axis(cut),
               frame=2)
          for cut in range(3)),
        *(made(f"volume-fortran-{cut}", f"volume in Fortran order, axis {cut}",
               "as in C order", np.asfortranarray(VOLUME),
               lambda cut=cut: stretch(np.take(VOLUME, 2, cut), 0, 255), policy=axis(cut),
               frame=2)
          for cut in range(3)),
    ]  # fmt: skip


def archives() -> list[Case]:
    images = ramp(10, 8, 9)
    split = {"train_images": images[:5], "val_images": images[5:7], "test_images": images[7:]}
    labels = {f"{part}_labels": np.zeros((2, 1), np.uint8) for part in ("train", "val", "test")}
    wide = np.stack([images, images[::-1], images[:, ::-1]], axis=-1)
    colour = {name: wide[a:b] for name, a, b in
              (("train_images", 0, 5), ("val_images", 5, 7), ("test_images", 7,
              10))}  # fmt: skip

    def made(
        name: str, content: str, outcome: str, data: bytes, expected: Any, **facts: Any
    ) -> Case:
        return case("NPZ", name, content, outcome, raw("arrays.npz", data), expected, **facts)

    return [
        *(made(f"medmnist-{number}", f"MedMNIST layout, frame {number}",
        f"image {number} of all",
               npz(**labels, **split), lambda number=number: stretch(images[number], 0, 255),
               frame=number, policy=axis(1)) for number in (0, 6, 9)),
        made("medmnist-range", "MedMNIST layout, policy range", "one range for all images",
             npz(**split), lambda: stretch(images[5], images.min(), images.max()), frame=5,
             policy=RANGE),
        made("medmnist-rgb", "MedMNIST layout, colour", "value / 255", npz(**colour),
             lambda: np.moveaxis(wide[8] / 255, -1, 0), frame=8,
             policy=ReadingPolicy(channels=3)),
        made("one", "one array", "as .npy", npz(scan=images[0]),
             lambda: stretch(images[0], 0, 255)),
        made("stored", "one volume, not compressed", "as .npy", npz(False, scan=VOLUME),
             lambda: stretch(VOLUME[:, 2], 0, 255), frame=2, policy=axis(1)),
    ]  # fmt: skip


def array_refusals() -> list[Case]:
    image = ramp(6, 7)
    objects = npy_header("(2, 1)", "|O") + b"cposix\nsystem\n(S'true'\ntR."
    whole = npz(scan=ramp(60, 70))
    lying = npy_header("(1000, 1000)") + bytes(100)
    uneven = {
        "train_images": image[None],
        "val_images": image[None, :4],
        "test_images": image[None],
    }

    def refuse(name: str, content: str, reason: str, data: bytes, **facts: Any) -> Case:
        kind = "NPZ" if data.startswith(b"PK") else "NPY"
        return refused(kind, name, content, reason, raw(f"a.{kind.lower()}", data), **facts)

    return [
        refuse("objects", "Python objects", "Python objects, which are never loaded", objects),
        refuse("structured", "a table of fields", "structured values",
               npy(np.zeros((3, 3), [("a", "u1"), ("b", "u1")]))),
        refuse("text", "text", "values are no gray levels", npy(np.array([["a", "b"]]))),
        refuse("complex", "complex numbers", "no gray levels", npy(image * 1j)),
        refuse("truncated", "cut off", "truncated", npy(image)[:-5]),
        refuse("absurd-size", "10 to the 12 values promised", "more than 67108864 values",
               npy_header("(1000000, 1000000)")),
        refuse("negative-size", "a negative length promised", "header is broken",
               npy_header("(-3, 3)") + bytes(9)),
        refuse("broken-header", "a header that is no dict", "header is broken",
               b"\x93NUMPY\x01\x00\x10\x00" + b"__import__('os')" + bytes(9)),
        refuse("four-samples", "(height, width, 4)", "a last axis of 4",
               npy(np.zeros((5, 5, 4), np.uint8))),
        refuse("one-axis", "one axis", "1 axes", npy(image[0])),
        refuse("no-pixels", "no values", "it holds no pixels", npy(image[:0])),
        refuse("signed", "signed, window file", "no known white", npy(SIGNED[0])),
        refuse("none-chosen", "volume, none chosen", "6 frames, one is needed", npy(VOLUME)),
        refuse("objects", "Python objects", "Python objects", npz(scan=objects)),
        refuse("several", "two arrays", "it holds 2 arrays", npz(a=image, b=image)),
        refuse("slip", "a name that leaves the archive", "names files outside itself",
               npz(__etc__passwd=image)),
        refuse("slip-dots", "a name with dots", "names files outside itself",
               npz(**{"..__..__x": image})),
        refuse("promise", "more values promised than the member has", "truncated",
               npz(scan=lying)),
        refuse("absurd-size", "10 to the 12 values promised", "more than 67108864 values",
               npz(scan=npy_header("(1000000, 1000000)"))),
        refuse("broken", "a damaged member", "broken",
               whole[:90] + bytes(40) + whole[130:]),
        refuse("truncated", "cut off", "archive is broken", whole[:-60]),
        refuse("medmnist-uneven", "MedMNIST layout, sizes differ", "differ in size",
               npz(**uneven), frame=0),
        refuse("medmnist-volumes", "MedMNIST layout of volumes", "neither the axes",
               npz(**dict.fromkeys(("train_images", "val_images", "test_images"),
               VOLUME[None])),
               frame=0),
    ]  # fmt: skip


VOLUME_CASES = [
    *turns(),
    *nifti_values(),
    *nifti_refusals(),
    *arrays(),
    *archives(),
    *array_refusals(),
]
