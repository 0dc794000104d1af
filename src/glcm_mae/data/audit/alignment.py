"""Lay one small image over another: stretch and shift along rows and columns, then compare.

The loops are compiled; they take images whose local mean is removed and whose local
contrast is evened out, so that brightness, contrast and bright marks hardly count.
"""

from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from glcm_mae.texture.kernels.compiler import compiled

Floats = npt.NDArray[np.float32]
Array = Any  # a NumPy array; numba finds out the rest

_NOISE = 3.0  # gray levels; where there is less contrast than this, it stays weak
_DAMPING = 1e-3  # of Levenberg and Marquardt, relative to the diagonal
_OVERLAP = 0.5  # least share of the fixed image that the moving one must cover
_LEAST_GAIN = 5e-4  # in correlation; a step that brings less is the last
_LEAST_CONTRAST = 1e-3  # gain below which a movement means nothing
_FARTHEST = 0.1  # half-sides that one step may move


def even_out(images: npt.NDArray[np.uint8], side: int, blur: float) -> Floats:
    """Reduce images to a side and even out their local mean and contrast.

    Args:
        images: Gray levels from 0 to 255, shape (images, height, height), the height a
            multiple of ``side``.
        side: Height and width wanted, in pixels.
        blur: Standard deviation of the neighbourhood, in pixels of the result.

    Returns:
        Values about 0, mostly within -2 and 2, shape (images, side, side).
    """
    smooth, values = _blur_matrix(side, blur), images.astype(np.float32)
    if (height := images.shape[1]) > side:
        average = np.kron(np.eye(side), np.full(height // side, side / height))
        values = average.astype(np.float32) @ values @ average.T.astype(np.float32)
    values -= smooth @ values @ smooth.T
    contrast = smooth @ np.square(values) @ smooth.T
    contrast += np.float32(_NOISE) ** 2
    values /= np.sqrt(contrast, out=contrast)
    return values


@cache
def _blur_matrix(side: int, blur: float) -> Floats:
    """Return the matrix of a Gaussian blur whose weights sum to one at the border too."""
    places = np.arange(side)
    weights = np.exp(-0.5 * ((places[:, None] - places) / blur) ** 2)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), dtype=np.float32)


@compiled
def _add_row(moving: Array, target: Array, row: float, sides: Array, sums: Array) -> None:
    """Sum products of value ``v``, slopes ``d`` and ``a``, ``a`` times place ``x``, and target.

    Args:
        moving: Image that is sampled between its pixels (bilinear).
        target: One row of the fixed image.
        row: Where it lies in ``moving``.
        sides: Scale and shift of the columns.
        sums: Filled: number of pixels, then the 20 sums.
    """
    side = len(target)
    half = side / 2
    top = int(row)
    down = np.float32(row - top)
    above, below = moving[top], moving[top + 1]
    count = 0
    d1 = dd = dx = da = dv = dt = x1 = xx = xa = xv = np.float32(0)
    xt = a1 = aa = av = at = v1 = vv = vt = t1 = tt = np.float32(0)
    for j in range(side):
        x = np.float32((j + 0.5 - half) / half)
        column = (x * sides[0] + sides[1] + 1) * half - 0.5
        if column < 0 or column >= side - 1:
            continue
        left = int(column)
        right = np.float32(column - left)
        t = target[j]
        upper = above[left] + (above[left + 1] - above[left]) * right
        lower = below[left] + (below[left + 1] - below[left]) * right
        d = lower - upper
        v = upper + d * down
        first = above[left + 1] - above[left]
        a = first + (below[left + 1] - below[left] - first) * down
        ax = a * x
        count += 1
        d1 += d
        dd += d * d
        dx += d * ax
        da += d * a
        dv += d * v
        dt += d * t
        x1 += ax
        xx += ax * ax
        xa += ax * a
        xv += ax * v
        xt += ax * t
        a1 += a
        aa += a * a
        av += a * v
        at += a * t
        v1 += v
        vv += v * v
        vt += v * t
        t1 += t
        tt += t * t
    sums[0], sums[1], sums[2], sums[3], sums[4], sums[5], sums[6] = (
        count,
        d1,
        dd,
        dx,
        da,
        dv,
        dt,
    )
    sums[7], sums[8], sums[9], sums[10], sums[11] = x1, xx, xa, xv, xt
    sums[12], sums[13], sums[14], sums[15] = a1, aa, av, at
    sums[16], sums[17], sums[18], sums[19], sums[20] = v1, vv, vt, t1, tt


@compiled
def _gather(moving: Array, fixed: Array, place: Array, normal: Array, right: Array) -> float:
    """Fill the normal equations of one step; return the correlation where both have pixels.

    The unknowns are scale and shift of the rows, scale and shift of the columns, gain and
    offset; only the lower triangle is filled.
    """
    side = fixed.shape[0]
    half = side / 2
    normal[:] = 0.0
    right[:] = 0.0
    s = np.empty(21)
    count, tt, t1 = 0.0, 0.0, 0.0
    for i in range(side):
        y = (i + 0.5 - half) / half
        row = (y * place[0] + place[1] + 1) * half - 0.5
        if row < 0 or row >= side - 1:
            continue
        _add_row(moving, fixed[i], row, place[2:], s)
        count += s[0]
        t1 += s[19]
        tt += s[20]
        normal[0, 0] += y * y * s[2]
        normal[1, 0] += y * s[2]
        normal[1, 1] += s[2]
        normal[2, 0] += y * s[3]
        normal[2, 1] += s[3]
        normal[2, 2] += s[8]
        normal[3, 0] += y * s[4]
        normal[3, 1] += s[4]
        normal[3, 2] += s[9]
        normal[3, 3] += s[13]
        normal[4, 0] += y * s[5]
        normal[4, 1] += s[5]
        normal[4, 2] += s[10]
        normal[4, 3] += s[14]
        normal[4, 4] += s[17]
        normal[5, 0] += y * s[1]
        normal[5, 1] += s[1]
        normal[5, 2] += s[7]
        normal[5, 3] += s[12]
        normal[5, 4] += s[16]
        right[0] += y * s[6]
        right[1] += s[6]
        right[2] += s[11]
        right[3] += s[15]
        right[4] += s[18]
    normal[5, 5], right[5] = count, t1
    if count < _OVERLAP * side * side:
        return -1.0
    value = normal[5, 4]
    shared = right[4] - value * t1 / count
    power = (normal[4, 4] - value * value / count) * (tt - t1 * t1 / count)
    normal[:4] *= half  # slopes are per pixel, places reach from -1 to 1
    normal[:, :4] *= half
    right[:4] *= half
    return shared / np.sqrt(power) if power > 1e-9 else -1.0


@compiled
def _factorise(normal: Array) -> bool:
    """Replace the lower triangle by its damped Cholesky factor; False if there is none."""
    for p in range(len(normal)):
        normal[p, p] = normal[p, p] * (1 + _DAMPING) + 1e-9
    for p in range(len(normal)):
        for q in range(p + 1):
            total = normal[p, q]
            for k in range(q):
                total -= normal[p, k] * normal[q, k]
            if p != q:
                normal[p, q] = total / normal[q, q]
            elif total > 0:
                normal[p, p] = np.sqrt(total)
            else:
                return False
    return True


@compiled
def _substitute(factor: Array, right: Array) -> None:
    """Solve in place what :func:`_factorise` prepared."""
    size = len(right)
    for p in range(size):
        for k in range(p):
            right[p] -= factor[p, k] * right[k]
        right[p] /= factor[p, p]
    for p in range(size - 1, -1, -1):
        for k in range(p + 1, size):
            right[p] -= factor[k, p] * right[k]
        right[p] /= factor[p, p]


@compiled
def align(moving: Array, fixed: Array, place: Array, steps: int, hopeless: float) -> float:
    """Improve a placement by Gauss-Newton steps; return the best correlation.

    Args:
        moving: Image that is sampled, float32 of shape (side, side).
        fixed: Image that it shall look like, float32 of shape (side, side).
        place: Scale and shift along the rows, then along the columns, with the image
            reaching from -1 to 1: the row ``y`` of ``fixed`` is the row ``place[0] * y +
            place[1]`` of ``moving``. Changed to the best found.
        steps: Largest number of steps; 0 only compares.
        hopeless: Correlation at the start below which no step is worth it.
    """
    normal, right = np.empty((6, 6)), np.empty(6)
    current = place.copy()
    best = -1.0
    for step in range(steps + 1):
        correlation = _gather(moving, fixed, current, normal, right)
        gain = correlation - best
        if gain > 0:
            best = correlation
            place[:] = current
        if step == steps or gain < _LEAST_GAIN or correlation < hopeless:
            break
        if not _factorise(normal):
            break
        _substitute(normal, right)
        if abs(right[4]) < _LEAST_CONTRAST:
            break
        for p in range(4):  # the unknowns are gain times movement
            current[p] += min(max(right[p] / right[4], -_FARTHEST), _FARTHEST)
    return best


@compiled
def _turn(image: Array, orientation: int, turned: Array) -> None:
    """Do what ``signatures.orient`` does, into a new place."""
    side = len(image)
    for i in range(side):
        row = side - 1 - i if orientation & 1 else i
        for j in range(side):
            column = side - 1 - j if orientation & 2 else j
            turned[i, j] = image[column, row] if orientation & 4 else image[row, column]


@compiled
def choose_starts(
    images: Array,
    moving: Array,
    fixed: Array,
    orientations: Array,
    steps: int,
    places: Array,
) -> None:
    """Improve the placement of every pair, or begin without a crop if that is better.

    Args:
        images: Evened-out images, shape (images, side, side).
        moving: Number of the image that is sampled, for each pair.
        fixed: Number of the other one.
        orientations: How the first one is turned.
        steps: Largest number of steps.
        places: Placement of each pair; changed.
    """
    turned = np.empty_like(images[0])
    whole = np.empty(4)
    for n in range(len(moving)):
        _turn(images[moving[n]], orientations[n], turned)
        hinted = align(turned, images[fixed[n]], places[n], steps, -1.0)
        whole[0], whole[1], whole[2], whole[3] = 1.0, 0.0, 1.0, 0.0
        if align(turned, images[fixed[n]], whole, steps, -1.0) > hinted:
            places[n] = whole


@compiled
def align_pairs(
    images: Array,
    moving: Array,
    fixed: Array,
    orientations: Array,
    steps: int,
    hopeless: float,
    places: Array,
    found: Array,
) -> None:
    """Align pairs of images from where they are; ``places`` and ``found`` are changed.

    Args:
        images: Evened-out images, shape (images, side, side).
        moving: Number of the image that is sampled, for each pair.
        fixed: Number of the other one.
        orientations: How the first one is turned.
        steps: Largest number of steps.
        hopeless: Correlation at the start below which no step is worth it.
        places: Placement of each pair.
        found: Filled with the correlation of each pair.
    """
    turned = np.empty_like(images[0])
    for n in range(len(moving)):
        _turn(images[moving[n]], orientations[n], turned)
        found[n] = align(turned, images[fixed[n]], places[n], steps, hopeless)
