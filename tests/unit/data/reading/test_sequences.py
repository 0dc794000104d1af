"""Frames decoded one by one, and the limits that they share."""

import numpy as np
import pytest

from glcm_mae.data.reading import sequences
from glcm_mae.data.reading.policy import ReadingPolicy, RefusedPixelsError
from glcm_mae.data.reading.sequences import decode_frames

FRAMES = [np.full((2, 3, 1), value, dtype=np.uint8) for value in (40, 50, 90)]


def decoder(calls: list[int], frames: list[np.ndarray] = FRAMES):
    def decode(number: int) -> np.ndarray:
        calls.append(number)
        return frames[number]

    return decode


def test_frames_come_in_the_order_asked_for() -> None:
    calls: list[int] = []
    decoded = decode_frames(decoder(calls), 3, [2, 0, 2], ReadingPolicy(), full=(0, 255))
    assert decoded.values[:, 0, 0, 0].tolist() == [90, 40, 90]
    assert (decoded.black, decoded.white) == (0, 255)
    assert calls == [0, 2]


@pytest.mark.parametrize(
    ("window", "limits"), [("range", (40, 90)), ("percentile", (40.1, 89.6))]
)
def test_relative_windows_look_at_the_whole_file(
    window: str, limits: tuple[float, float]
) -> None:
    calls: list[int] = []
    policy = ReadingPolicy(window=window)
    decoded = decode_frames(decoder(calls), 3, [1], policy, full=(0, 255))
    assert calls == [0, 1, 2]
    assert decoded.values.shape == (1, 2, 3, 1)
    flat = np.stack(FRAMES)
    expected = limits if window == "range" else np.percentile(flat, [0.5, 99.5])
    np.testing.assert_allclose((decoded.black, decoded.white), expected)
    falling = decode_frames(decoder([]), 3, [1], policy, full=(0, 255), falling=True)
    assert falling.black > falling.white


def test_one_value_is_black_whatever_the_direction() -> None:
    for falling in (False, True):
        policy = ReadingPolicy(window="range")
        decoded = decode_frames(decoder([]), 1, None, policy, full=(0, 255), falling=falling)
        assert decoded.black == 40
        assert decoded.white == (39 if falling else 41)


@pytest.mark.parametrize(("other", "known"), [(1.0, True), (1.5, False), (-0.1, False)])
def test_floats_of_the_whole_file_decide_on_their_white(other: float, known: bool) -> None:
    frames = [np.full((2, 2, 1), value) for value in (0.5, other)]
    decode = decoder([], frames)
    if known:
        decoded = decode_frames(decode, 2, [0], ReadingPolicy(), full=None)
        assert (decoded.black, decoded.white) == (0, 1)
    else:
        with pytest.raises(RefusedPixelsError, match="float64 values have no known white"):
            decode_frames(decode, 2, [0], ReadingPolicy(), full=None)


def test_frames_that_do_not_go_together(monkeypatch: pytest.MonkeyPatch) -> None:
    unlike = decoder([], [FRAMES[0], FRAMES[0][:1]])
    with pytest.raises(RefusedPixelsError, match="differ in size or depth"):
        decode_frames(unlike, 2, [0, 1], ReadingPolicy(), full=(0, 255))
    with pytest.raises(RefusedPixelsError, match="none of its frames is asked for"):
        decode_frames(unlike, 2, [], ReadingPolicy(), full=(0, 255))
    monkeypatch.setattr(sequences, "_AT_ONCE", 11)
    with pytest.raises(RefusedPixelsError, match="2 of its frames hold more than 11 values"):
        decode_frames(decoder([]), 3, [0, 1], ReadingPolicy(), full=(0, 255))
    monkeypatch.setattr(sequences, "_KEPT_BYTES", 100)
    deep = decoder([], [np.zeros((2, 3, 1))] * 3)
    with pytest.raises(RefusedPixelsError, match="percentiles of more than"):
        decode_frames(deep, 3, [0], ReadingPolicy(window="percentile"), full=None)
