"""Every depth and format against pixels computed here, and every refusal."""

import io
import logging
import struct
import threading
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from glcm_mae.data.images import IMAGE_SUFFIXES, UnreadableImageError, fit_image, read_image
from glcm_mae.errors import InputError

GRAY = np.array([[0, 17, 128], [200, 254, 255]], dtype=np.uint8)
DEEP = np.array([[0, 1, 256], [32768, 65534, 65535]], dtype=np.uint16)
COLOUR = np.stack([GRAY, GRAY[::-1], GRAY.T.reshape(2, 3)], axis=-1)
LUMA = np.array([0.299, 0.587, 0.114])
REMEDY = "repair or remove it, or pass --data.on_error skip"


def saved(image: Image.Image, path: Path, **options: object) -> Path:
    image.save(path, **options)
    return path


def test_the_suffixes_that_count() -> None:
    assert IMAGE_SUFFIXES == (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp"])
def test_eight_bit_gray(tmp_path: Path, suffix: str) -> None:
    pixels = read_image(saved(Image.fromarray(GRAY), tmp_path / f"a.{suffix}"))
    assert pixels.dtype == np.float32
    assert pixels.shape == (1, 2, 3)
    np.testing.assert_allclose(pixels[0], GRAY / 255, atol=1e-7)


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp"])
def test_one_bit(tmp_path: Path, suffix: str) -> None:
    bits = Image.fromarray(GRAY > 100)
    assert bits.mode == "1"
    np.testing.assert_array_equal(
        read_image(saved(bits, tmp_path / f"a.{suffix}"))[0], (GRAY > 100).astype(np.float32)
    )


@pytest.mark.parametrize(
    ("suffix", "options"),
    [("png", {}), ("tif", {}), ("tif", {"compression": "tiff_lzw"})],
)
def test_sixteen_bit_gray_keeps_its_depth(
    tmp_path: Path, suffix: str, options: dict[str, str]
) -> None:
    pixels = read_image(saved(Image.fromarray(DEEP), tmp_path / f"a.{suffix}", **options))
    np.testing.assert_allclose(pixels[0], DEEP / 65535, atol=1e-7)
    repeated = read_image(tmp_path / f"a.{suffix}", channels=3)
    np.testing.assert_array_equal(repeated, np.repeat(pixels, 3, axis=0))


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
def test_sixteen_bit_tiff_in_each_byte_order_and_polarity(
    tmp_path: Path, byteorder: str, photometric: str
) -> None:
    tifffile.imwrite(tmp_path / "a.tif", DEEP, byteorder=byteorder, photometric=photometric)
    expected = DEEP / 65535 if photometric == "minisblack" else 1 - DEEP / 65535
    np.testing.assert_allclose(read_image(tmp_path / "a.tif")[0], expected, atol=1e-7)


def test_eight_bit_tiff_where_white_is_zero(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", GRAY, photometric="miniswhite")
    np.testing.assert_allclose(read_image(tmp_path / "a.tif")[0], 1 - GRAY / 255, atol=1e-7)


def test_twelve_bit_tiff_is_scaled_by_its_own_white(tmp_path: Path) -> None:
    packed = bytes([0x00, 0x0F, 0xFF, 0x80, 0x00, 0x01])  # 0, 4095, 2048, 1
    tags = [(256, 4), (257, 1), (258, 12), (259, 1), (262, 1), (273, 8), (277, 1), (278, 1)]
    tags.append((279, len(packed)))
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    header = b"II*\0" + struct.pack("<I", 8 + len(packed))
    body = struct.pack("<H", len(tags)) + entries + struct.pack("<I", 0)
    (tmp_path / "a.tif").write_bytes(header + packed + body)
    expected = np.array([[0, 4095, 2048, 1]]) / 4095
    np.testing.assert_allclose(read_image(tmp_path / "a.tif")[0], expected, atol=1e-7)


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp"])
def test_eight_bit_colour_and_its_luma(tmp_path: Path, suffix: str) -> None:
    path = saved(Image.fromarray(COLOUR), tmp_path / f"a.{suffix}")
    np.testing.assert_allclose(
        read_image(path, channels=3), np.moveaxis(COLOUR, -1, 0) / 255, atol=1e-7
    )
    np.testing.assert_allclose(read_image(path)[0], COLOUR @ LUMA / 255, atol=1e-6)


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("planes", ["contig", "separate"])
def test_sixteen_bit_colour_tiff(tmp_path: Path, compression: str | None, planes: str) -> None:
    deep = np.stack([DEEP, DEEP[::-1], DEEP[:, ::-1]], axis=-1)
    tifffile.imwrite(
        tmp_path / "a.tif",
        deep if planes == "contig" else np.moveaxis(deep, -1, 0),
        photometric="rgb",
        planarconfig=planes,
        compression=compression,
    )
    pixels = read_image(tmp_path / "a.tif", channels=3)
    np.testing.assert_allclose(pixels, np.moveaxis(deep, -1, 0) / 65535, atol=1e-7)


@pytest.mark.parametrize(("kind", "factor"), [("unassalpha", 0.25), ("assocalpha", 1.0)])
def test_alpha_of_deep_tiff_is_over_black(tmp_path: Path, kind: str, factor: float) -> None:
    alpha = np.full((*DEEP.shape, 1), 0.25 * 65535 + 0.25, dtype=np.uint16)
    deep = np.concatenate([np.stack([DEEP // 4] * 3, axis=-1), alpha], axis=-1)
    tifffile.imwrite(tmp_path / "a.tif", deep, photometric="rgb", extrasamples=[kind])
    expected = (DEEP // 4) / 65535 * factor
    np.testing.assert_allclose(read_image(tmp_path / "a.tif")[0], expected, atol=1e-5)


def test_sixteen_bit_colour_png_gives_its_high_bits(tmp_path: Path) -> None:
    values = np.array([[[0x1234, 0xFFFF, 0x8001]]], dtype=">u2")

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data))
            + kind
            + data
            + struct.pack(">I", zlib.crc32(kind + data))
        )

    (tmp_path / "a.png").write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 16, 2, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(b"\0" + values.tobytes()))
        + chunk(b"IEND", b"")
    )
    pixels = read_image(tmp_path / "a.png", channels=3)
    np.testing.assert_allclose(pixels[:, 0, 0], np.array([0x12, 0xFF, 0x80]) / 255, atol=1e-7)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floating_point_tiff(tmp_path: Path, dtype: type) -> None:
    values = np.array([[0, 0.25, 0.5], [0.75, 0.875, 1]], dtype=dtype)
    tifffile.imwrite(tmp_path / "a.tif", values)
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif")[0], values.astype(np.float32))


@pytest.mark.parametrize("suffix", ["png", "tif", "bmp"])
def test_palette(tmp_path: Path, suffix: str) -> None:
    image = Image.frombytes("P", (3, 1), bytes([0, 1, 2]))
    image.putpalette([255, 0, 0, 0, 255, 0, 10, 20, 30])
    pixels = read_image(saved(image, tmp_path / f"a.{suffix}"), channels=3)
    expected = np.array([[255, 0, 0], [0, 255, 0], [10, 20, 30]]) / 255
    np.testing.assert_allclose(pixels[:, 0].T, expected, atol=1e-7)


def test_palette_with_transparent_entry_is_over_black(tmp_path: Path) -> None:
    image = Image.frombytes("P", (2, 1), bytes([0, 1]))
    image.putpalette([255, 255, 255, 255, 255, 255])
    path = saved(image, tmp_path / "a.png", transparency=bytes([51, 255]))
    np.testing.assert_allclose(read_image(path)[0, 0], [0.2, 1], atol=1e-6)


def test_gray_with_transparent_value_is_over_black(tmp_path: Path) -> None:
    eight = saved(Image.fromarray(GRAY), tmp_path / "a.png", transparency=255)
    np.testing.assert_allclose(
        read_image(eight)[0], np.where(GRAY == 255, 0, GRAY) / 255, atol=1e-6
    )
    deep = saved(Image.fromarray(DEEP), tmp_path / "b.png", transparency=65535)
    np.testing.assert_allclose(
        read_image(deep)[0], np.where(DEEP == 65535, 0, DEEP) / 65535, atol=1e-6
    )


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("mode", ["LA", "RGBA"])
def test_alpha_is_over_black(tmp_path: Path, mode: str, suffix: str) -> None:
    alpha = GRAY[::-1]
    colour = [GRAY] if mode == "LA" else [GRAY] * 3
    image = Image.merge(mode, [Image.fromarray(band) for band in (*colour, alpha)])
    pixels = read_image(saved(image, tmp_path / f"a.{suffix}"), channels=3)
    for plane in pixels:
        np.testing.assert_allclose(plane, GRAY / 255 * (alpha / 255), atol=1e-6)


def test_cmyk(tmp_path: Path) -> None:
    inks = np.stack([GRAY, GRAY[::-1], GRAY[:, ::-1], GRAY // 2], axis=-1)
    image = Image.merge("CMYK", [Image.fromarray(inks[..., i]) for i in range(4)])
    pixels = read_image(saved(image, tmp_path / "a.tif"), channels=3)
    paper = (1 - inks[..., :3] / 255) * (1 - inks[..., 3:] / 255)
    np.testing.assert_allclose(pixels, np.moveaxis(paper, -1, 0), atol=1.01 / 255)


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_jpeg_of_one_tone(tmp_path: Path, mode: str) -> None:
    tone = {"L": 100, "RGB": (100, 100, 100), "CMYK": (155, 155, 155, 0)}[mode]
    path = saved(Image.new(mode, (16, 16), tone), tmp_path / "a.jpg", quality=95)
    np.testing.assert_allclose(read_image(path), 100 / 255, atol=2 / 255)


ORIENTED = {  # what is stored when the upright image is [[1, 2, 3], [4, 5, 6]]
    1: [[1, 2, 3], [4, 5, 6]],
    2: [[3, 2, 1], [6, 5, 4]],
    3: [[6, 5, 4], [3, 2, 1]],
    4: [[4, 5, 6], [1, 2, 3]],
    5: [[1, 4], [2, 5], [3, 6]],
    6: [[3, 6], [2, 5], [1, 4]],
    7: [[6, 3], [5, 2], [4, 1]],
    8: [[4, 1], [5, 2], [6, 3]],
}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["png", "tif", "deep"])
def test_orientation(tmp_path: Path, orientation: int, kind: str) -> None:
    """The table follows the EXIF text: where row 0 and column 0 of the file lie."""
    stored = np.array(ORIENTED[orientation], dtype=np.uint8)
    path = tmp_path / "a.tif"
    tag = (274, "H", 1, orientation, False)
    if kind == "png":
        exif = Image.Exif()
        exif[0x0112] = orientation
        saved(Image.fromarray(stored), path, format="PNG", exif=exif)
    elif kind == "tif":
        tifffile.imwrite(path, stored, photometric="minisblack", extratags=[tag])
    else:
        deep = np.repeat(stored[..., None], 3, axis=-1).astype(np.float32) / 255
        tifffile.imwrite(path, deep, photometric="rgb", extratags=[tag])
    np.testing.assert_allclose(read_image(path)[0] * 255, ORIENTED[1], atol=1e-4)


def test_content_decides_not_the_suffix(tmp_path: Path) -> None:
    path = saved(Image.fromarray(GRAY), tmp_path / "a.jpg", format="PNG")
    np.testing.assert_allclose(read_image(path)[0], GRAY / 255, atol=1e-7)


def test_broken_metadata_does_not_matter(tmp_path: Path) -> None:
    path = saved(Image.fromarray(GRAY), tmp_path / "a.png", exif=b"Exif\0\0nonsense")
    np.testing.assert_allclose(read_image(path)[0], GRAY / 255, atol=1e-7)


def noise(folder: Path, suffix: str, **options: object) -> Path:
    values = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    return saved(Image.fromarray(values), folder / f"a.{suffix}", **options)


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "tif"])
@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9])
def test_truncated_files_are_refused(tmp_path: Path, suffix: str, kept: float) -> None:
    path = noise(tmp_path, suffix)
    data = path.read_bytes()
    path.write_bytes(data[: int(kept * len(data))])
    with pytest.raises(UnreadableImageError) as caught:
        read_image(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: cannot be read as an image (")
    assert message.endswith(f"); {REMEDY}")
    assert "\n" not in message


def test_truncated_strips_of_deep_tiff_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    values = np.random.default_rng(0).random((64, 64), dtype=np.float32)
    tifffile.imwrite(path, values, rowsperstrip=8)
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(UnreadableImageError, match=r"\(the file is truncated\)"):
        read_image(path)


def test_flipped_bits_in_png_are_refused(tmp_path: Path) -> None:
    path = noise(tmp_path, "png")
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(UnreadableImageError):
        read_image(path)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("page.png", b"<!doctype html><title>404</title>", "no PNG, JPEG, TIFF or BMP inside"),
        ("none.png", b"", "the file is empty"),
        ("short.tif", b"II*\0", None),
        ("anim.png", b"GIF89a" + bytes(50), "no PNG, JPEG, TIFF or BMP inside"),
    ],
)
def test_files_that_are_no_image(
    tmp_path: Path, name: str, content: bytes, reason: str | None
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_image(tmp_path / name)
    if reason is not None:
        expected = f"{tmp_path / name}: cannot be read as an image ({reason}); {REMEDY}"
        assert str(caught.value) == expected


def test_other_formats_of_pillow_stay_closed(tmp_path: Path) -> None:
    path = saved(Image.fromarray(GRAY), tmp_path / "a.png", format="GIF")
    with pytest.raises(UnreadableImageError, match="no PNG, JPEG, TIFF or BMP inside"):
        read_image(path)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    with pytest.raises(UnreadableImageError, match=r"\(No such file or directory\)"):
        read_image(tmp_path / "gone.png")
    with pytest.raises(UnreadableImageError, match=r"\(Is a directory\)"):
        read_image(tmp_path)


@pytest.mark.parametrize("kind", ["png", "tif"])
def test_several_frames_are_refused(tmp_path: Path, kind: str) -> None:
    image, other = Image.fromarray(GRAY), Image.fromarray(GRAY[::-1])
    path = saved(image, tmp_path / f"a.{kind}", save_all=True, append_images=[other])
    with pytest.raises(UnreadableImageError) as caught:
        read_image(path)
    assert str(caught.value) == (
        f"{path}: cannot be read as an image (it holds 2 frames, one is needed); "
        "split it into one file per frame, or pass --data.on_error skip"
    )


@pytest.mark.parametrize(
    ("values", "reach"),
    [
        ([0, 1.5], "0 to 1.5"),
        ([-0.25, 1], "-0.25 to 1"),
        ([0, np.inf], "0 to inf"),
        ([0, np.nan], "nan"),
    ],
)
@pytest.mark.parametrize("copies", [1, 3])
def test_floats_outside_the_unit_range(
    tmp_path: Path, values: list[float], reach: str, copies: int
) -> None:
    image = np.array([values], dtype=np.float32)
    if copies == 3:
        image = np.repeat(image[..., None], 3, axis=-1)
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="rgb" if copies == 3 else None)
    with pytest.raises(UnreadableImageError) as caught:
        read_image(tmp_path / "a.tif")
    assert f"finite and in [0, 1], they reach from {reach}" in str(caught.value)
    assert str(caught.value).endswith("; rescale it to [0, 1], or pass --data.on_error skip")


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32, np.uint32])
def test_integers_without_a_known_white(tmp_path: Path, dtype: type) -> None:
    tifffile.imwrite(tmp_path / "a.tif", GRAY.astype(dtype))
    with pytest.raises(UnreadableImageError) as caught:
        read_image(tmp_path / "a.tif")
    assert caught.value.reason == f"{np.dtype(dtype)} values have no known white"
    assert "; save it with 8 or 16 unsigned bits, or pass" in str(caught.value)


def test_colour_spaces_without_a_rule(tmp_path: Path) -> None:
    deep = np.stack([DEEP] * 4, axis=-1)
    tifffile.imwrite(tmp_path / "a.tif", deep, photometric="separated")
    with pytest.raises(
        UnreadableImageError, match="are not supported\\); save it as gray or RGB"
    ):
        read_image(tmp_path / "a.tif")
    lab = Image.merge("LAB", [Image.fromarray(GRAY)] * 3)
    with pytest.raises(UnreadableImageError, match="kind LAB have no known white"):
        read_image(saved(lab, tmp_path / "b.tif"))


@pytest.mark.parametrize("limit", [5, 2])  # six pixels: above the limit, above its double
@pytest.mark.parametrize("kind", ["png", "deep"])
def test_decompression_bombs_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int, kind: str
) -> None:
    if kind == "png":
        path = saved(Image.fromarray(GRAY), tmp_path / "a.png")
    else:
        path = tmp_path / "a.tif"
        tifffile.imwrite(path, GRAY.astype(np.float32) / 255)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with pytest.raises(UnreadableImageError) as caught:
        read_image(path)
    assert str(caught.value) == (
        f"{path}: cannot be read as an image (more than {limit} pixels); "
        "scale it down or remove it, or pass --data.on_error skip"
    )


@pytest.mark.parametrize("channels", [0, 2, 4])
def test_channels_are_one_or_three(tmp_path: Path, channels: int) -> None:
    with pytest.raises(InputError, match=f"channels: must be 1 .* or 3 .*, got {channels}"):
        read_image(tmp_path / "any.png", channels=channels)


def test_overlapping_threads_leave_the_warning_filters_alone(tmp_path: Path) -> None:
    path = noise(tmp_path, "png")
    before = list(warnings.filters)
    threads = [
        threading.Thread(target=lambda: [read_image(path) for _ in range(20)]) for _ in "abcd"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert warnings.filters == before


def test_decoders_may_warn_unheard(tmp_path: Path) -> None:
    cut_off = b"Exif\0\0II*\0\x08\0\0\0\xff\0"  # promises 255 entries
    path = saved(Image.fromarray(GRAY), tmp_path / "a.png", exif=cut_off)
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        Image.open(path).getexif()
        assert heard
        heard.clear()
        read_image(path)
    assert not heard


def test_what_tifffile_logs_is_not_printed() -> None:
    handlers = logging.getLogger("tifffile").handlers
    assert any(isinstance(handler, logging.NullHandler) for handler in handlers)


def test_cropping_keeps_the_middle() -> None:
    image = np.zeros((1, 4, 8), dtype=np.float32)
    image[..., 2:6] = 1
    np.testing.assert_array_equal(fit_image(image, 4, "crop"), np.ones((1, 4, 4)))


def test_padding_keeps_all_and_adds_black() -> None:
    image = np.ones((3, 4, 8), dtype=np.float32)
    fitted = fit_image(image, 8, "pad")
    np.testing.assert_array_equal(fitted[:, 2:6], np.ones((3, 4, 8)))
    np.testing.assert_array_equal(fitted[:, [0, 1, 6, 7]], np.zeros((3, 4, 8)))


@pytest.mark.parametrize("how", ["crop", "pad"])
@pytest.mark.parametrize("shape", [(5, 9), (9, 5), (1, 40), (8, 8), (300, 200)])
def test_fitting_gives_the_size_and_stays_in_range(how: str, shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 2, (3, *shape)).astype(np.float32)
    fitted = fit_image(image, (6, 10), how)
    assert fitted.shape == (3, 6, 10)
    assert fitted.dtype == np.float32
    assert fitted.min() >= 0
    assert fitted.max() <= 1


@pytest.mark.parametrize("how", ["crop", "pad"])
def test_an_image_of_the_size_comes_back_unchanged(how: str) -> None:
    image = np.random.default_rng(0).random((1, 7, 7), dtype=np.float32)
    np.testing.assert_array_equal(fit_image(image, 7, how), image)


def test_a_circle_stays_round() -> None:
    rows, cols = np.mgrid[:90, :150]
    circle = (np.hypot(rows - 44.5, cols - 74.5) < 30).astype(np.float32)[None]
    for how in ("crop", "pad"):
        fitted = fit_image(circle, 60, how)[0]
        across, down = fitted.sum(axis=1).max(), fitted.sum(axis=0).max()
        assert abs(across - down) < 1


def test_shrinking_does_not_alias() -> None:
    """A checkerboard at the finest pitch averages to gray instead of a false pattern."""
    board = (np.indices((128, 128)).sum(axis=0) % 2).astype(np.float32)[None]
    fitted = fit_image(board, 30, "crop")[0, 3:-3, 3:-3]
    np.testing.assert_allclose(fitted, 0.5, atol=0.02)


def test_fitting_equals_pillow_on_the_cut_out() -> None:
    """The crop is scaled as if its middle had been cut out, away from the cut."""
    image = np.random.default_rng(0).random((1, 64, 128), dtype=np.float32)
    cut = Image.fromarray(image[0, :, 32:96]).resize((16, 16), Image.Resampling.LANCZOS)
    fitted = fit_image(image, 16, "crop")[0]
    np.testing.assert_allclose(fitted[:, 3:-3], np.asarray(cut)[:, 3:-3].clip(0, 1), atol=1e-5)


def test_bad_fits_are_refused() -> None:
    image = np.ones((1, 2, 2), dtype=np.float32)
    with pytest.raises(InputError, match="fit: must be 'crop' or 'pad', got 'stretch'"):
        fit_image(image, 4, "stretch")
    with pytest.raises(InputError, match="size: must be at least 1 pixel, got 0"):
        fit_image(image, 0, "crop")


def test_real_ultrasound_agrees_with_pillow(busi: Path) -> None:
    paths = sorted((busi / "images" / "benign").iterdir())[:3]
    for path in paths:
        with Image.open(io.BytesIO(path.read_bytes())) as image:
            expected = np.asarray(image) / 255
        np.testing.assert_allclose(read_image(path)[0], expected, atol=1e-7)
