"""Volumes and arrays beyond the corpus: orientation, streams, and what is never held."""

import gzip
import itertools
import sys
import tracemalloc
from pathlib import Path

import nibabel
import numpy as np
import pytest

from corpus.volume_cases import SIGNED, VOLUME, WIDE, npy, npz, radiological
from glcm_mae.data.reading.policy import ReadingPolicy, RefusedPixelsError
from glcm_mae.data.reading.volumes import (
    count_nifti_slices,
    count_numpy_slices,
    decode_nifti,
    decode_numpy,
)

AXES = (0, 1, 2)


def saved(folder: Path, values: np.ndarray, affine: np.ndarray, name: str = "v.nii") -> Path:
    nibabel.save(nibabel.Nifti1Image(values, affine, dtype=values.dtype), folder / name)
    return folder / name


@pytest.mark.parametrize("order", list(itertools.permutations(AXES)))
@pytest.mark.parametrize("signs", list(itertools.product((1, -1), repeat=3)))
def test_every_orientation_is_cut_and_turned_alike(
    tmp_path: Path, order: tuple[int, ...], signs: tuple[int, ...]
) -> None:
    affine = np.zeros((4, 4))
    affine[3, 3] = 1
    for axis in AXES:
        affine[order[axis], axis] = signs[axis] * (axis + 1)
    path = saved(tmp_path, VOLUME, affine)
    canonical = np.asarray(nibabel.as_closest_canonical(nibabel.load(path)).dataobj)
    for axis in AXES:
        count = count_nifti_slices(path, axis)
        assert count == canonical.shape[axis]
        slices = decode_nifti(path, range(count), ReadingPolicy(axis=axis)).values[..., 0]
        expected = [radiological(canonical, axis, number) for number in range(count)]
        np.testing.assert_array_equal(slices, expected)


def test_the_convention_of_the_docstring(tmp_path: Path) -> None:
    """One bright voxel at the right, front and top of a head stored left to right, ..."""
    head = np.zeros((5, 6, 7), np.uint8)
    head[4, 5, 6] = 1
    path = saved(tmp_path, head, np.eye(4))
    axial = decode_nifti(path, [6], ReadingPolicy(axis=2)).values[0, ..., 0]
    coronal = decode_nifti(path, [5], ReadingPolicy(axis=1)).values[0, ..., 0]
    sagittal = decode_nifti(path, [4], ReadingPolicy(axis=0)).values[0, ..., 0]
    assert axial.shape == (6, 5)  # front at the top, right on the left
    assert coronal.shape == (7, 5)  # head at the top, right on the left
    assert sagittal.shape == (7, 6)  # head at the top, front on the left
    for image in (axial, coronal, sagittal):
        assert image[0, 0] == 1
        assert image.sum() == 1


def test_slices_come_in_the_order_asked_for(tmp_path: Path) -> None:
    path = saved(tmp_path, VOLUME, np.diag((1.0, 1.0, -1.0, 1.0)), "v.nii.gz")
    one = decode_nifti(path, range(6), ReadingPolicy()).values
    np.testing.assert_array_equal(
        decode_nifti(path, [4, 0, 4], ReadingPolicy()).values, one[[4, 0, 4]]
    )


def test_the_window_is_that_of_all_slices(tmp_path: Path) -> None:
    path = saved(tmp_path, SIGNED, np.eye(4))
    for axis in AXES:
        decoded = decode_nifti(path, [0], ReadingPolicy(axis=axis, window="percentile"))
        expected = np.percentile(SIGNED, (0.5, 99.5))
        np.testing.assert_allclose((decoded.black, decoded.white), expected, rtol=1e-12)


def test_no_text_of_the_header_is_told(tmp_path: Path) -> None:
    data = bytearray(saved(tmp_path, VOLUME, np.eye(4)).read_bytes())
    data[148:161] = b"Canary^Yellow"
    for change in ((70, b"\x39\x30"), (40, b"\x09\x00"), (108, b"\0\0\xc0\x7f")):
        broken = data.copy()
        broken[change[0] : change[0] + len(change[1])] = change[1]
        (tmp_path / "b.nii").write_bytes(broken)
        with pytest.raises(RefusedPixelsError) as error:
            decode_nifti(tmp_path / "b.nii", [0], ReadingPolicy())
        assert "Canary" not in str(error.value.args)
        assert error.value.__suppress_context__ or error.value.__context__ is None


def test_without_nibabel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path, VOLUME, np.eye(4))
    monkeypatch.setitem(sys.modules, "nibabel", None)
    with pytest.raises(RefusedPixelsError) as error:
        decode_nifti(path, [0], ReadingPolicy())
    assert error.value.remedy == "pip install 'glcm-mae[nifti]'"


@pytest.mark.parametrize("decode", [decode_nifti, decode_numpy])
def test_missing_and_empty_files(tmp_path: Path, decode: object) -> None:
    assert callable(decode)
    with pytest.raises(RefusedPixelsError, match="No such file"):
        decode(tmp_path / "none", None, ReadingPolicy())
    (tmp_path / "empty").touch()
    with pytest.raises(RefusedPixelsError, match="the file is empty"):
        decode(tmp_path / "empty", None, ReadingPolicy())


def test_no_volume_is_held_as_a_whole(tmp_path: Path) -> None:
    volume = np.zeros((128, 128, 400), np.int16)  # 13 MB
    volume[:, :, ::2] = 700
    path = saved(tmp_path, volume, np.eye(4))
    data = path.read_bytes()
    (tmp_path / "v.nii.gz").write_bytes(gzip.compress(data, 1))
    for file in (path, tmp_path / "v.nii.gz"):
        tracemalloc.start()
        decoded = decode_nifti(file, [3], ReadingPolicy(axis=1, window="percentile"))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert (decoded.black, decoded.white) == (0, 700)
        assert peak < 4e6


def test_chosen_images_of_a_large_archive_take_no_copies(tmp_path: Path) -> None:
    many = np.zeros((4000, 64, 64), np.uint8)  # 16 MB
    many[:, 0, 0] = np.arange(4000) % 251
    (tmp_path / "a.npz").write_bytes(
        npz(train_images=many, val_images=many[:7], test_images=many[:9])
    )
    tracemalloc.start()
    images = decode_numpy(tmp_path / "a.npz", [3999, 4003, 4008], ReadingPolicy()).values
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert images[:, 0, 0, 0].tolist() == [3999 % 251, 3, 1]
    assert peak < 4e6


def test_counts_follow_the_axis_except_where_the_first_counts_images(tmp_path: Path) -> None:
    files = {
        "volume.npy": (npy(WIDE), [4, 5, 6]),
        "fortran.npy": (npy(np.asfortranarray(WIDE)), [4, 5, 6]),
        "image.npy": (npy(WIDE[0]), [1, 1, 1]),
        "one.npz": (npz(scan=WIDE), [4, 5, 6]),
        "medmnist.npz": (
            npz(train_images=WIDE, val_images=WIDE, test_images=WIDE[:1]),
            [9] * 3,
        ),
    }
    for name, (data, counts) in files.items():
        (tmp_path / name).write_bytes(data)
        assert [count_numpy_slices(tmp_path / name, axis) for axis in AXES] == counts, name


def test_frames_of_medmnist_come_in_the_order_asked_for(tmp_path: Path) -> None:
    parts = {"train_images": WIDE[:2], "val_images": WIDE[2:3], "test_images": WIDE[3:]}
    (tmp_path / "m.npz").write_bytes(npz(**parts))
    values = decode_numpy(tmp_path / "m.npz", [3, 0, 2, 0], ReadingPolicy()).values
    np.testing.assert_array_equal(values[..., 0], WIDE[[3, 0, 2, 0]])
