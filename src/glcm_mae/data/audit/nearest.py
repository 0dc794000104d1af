"""Keep the nearest few of many, in a compiled loop."""

from typing import Any

import numpy as np

from glcm_mae.texture.kernels.compiler import compiled

Array = Any  # a NumPy array; numba finds out the rest


@compiled
def keep_nearest(
    tile: Array,
    first_row: int,
    first_column: int,
    similarity: Array,
    nearest: Array,
    view: Array,
) -> None:
    """Put the best of a tile of similarities among the nearest found so far.

    Args:
        tile: Similarities, shape (views, rows, columns).
        first_row: Number of the tile's first row among all images.
        first_column: Number of its first column.
        similarity: Shape (rows, kept); what is not above the least of a row is left out.
        nearest: Number of the image that each similarity belongs to, -1 for none.
        view: View in which it was found.
    """
    views, rows, columns = tile.shape
    best = np.empty(columns, np.float32)
    seen = np.empty(columns, np.int32)
    for i in range(rows):
        best[:] = tile[0, i]
        seen[:] = 0
        for v in range(1, views):
            for j in range(columns):
                value = tile[v, i, j]
                seen[j] = v if value > best[j] else seen[j]
                best[j] = value if value > best[j] else best[j]
        worst = similarity[i].argmin()
        for j in range(columns):
            if best[j] > similarity[i, worst] and first_row + i != first_column + j:
                similarity[i, worst] = best[j]
                nearest[i, worst] = first_column + j
                view[i, worst] = seen[j]
                worst = similarity[i].argmin()
