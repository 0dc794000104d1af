"""Write pyradiomics_glcm.json: what pyradiomics makes of a few small images.

Run in an environment of its own: Python 3.10, ``numpy<2`` and pyradiomics 3.0.1, which
builds with versioneer, wheel, cython and setuptools at hand and ``--no-build-isolation``.
"""

import json
import logging
from pathlib import Path

import numpy as np
import radiomics
import SimpleITK as sitk  # noqa: N813
from radiomics.glcm import RadiomicsGLCM


def images():
    """Gray levels from 1; "sparse" leaves levels out, "coarse" has long runs."""
    random = np.random.default_rng(20240601)
    noise = random.normal(size=(11, 12))
    smooth = noise[:-2, :-2] + noise[1:-1, 1:-1] + noise[2:, 2:] + noise[2:, :-2]
    return {
        "smooth": 1 + smooth.ravel().argsort().argsort().reshape(smooth.shape) // 12,
        "sparse": random.choice([1, 2, 5, 9], size=(7, 6)),
        "coarse": np.kron(random.integers(1, 5, size=(4, 3)), np.ones((2, 3), int)),
        "checkerboard": 1 + np.indices((6, 6)).sum(0) % 2,
        "flat": np.full((5, 5), 1),
    }


def measure(image, **settings):
    whole = sitk.GetImageFromArray(image[None].astype(np.int32))
    mask = sitk.GetImageFromArray(np.ones_like(image, dtype=np.uint8)[None])
    glcm = RadiomicsGLCM(whole, mask, binWidth=1, **settings)
    glcm.enableAllFeatures()
    return {name: float(value) for name, value in sorted(glcm.execute().items())}


def main():
    radiomics.logger.setLevel(logging.ERROR)
    cases = [
        {
            "image": name,
            "distance": distance,
            "symmetric": symmetric,
            "values": measure(image, distances=[distance], symmetricalGLCM=symmetric),
        }
        for name, image in images().items()
        for distance, symmetric in [(1, True), (1, False), (2, True)]
    ]
    golden = {
        "source": f"pyradiomics {radiomics.__version__}, binWidth 1, features averaged over "
        "all directions of a slice at that Chebyshev distance; "
        "written by make_pyradiomics_glcm.py",
        "images": {name: image.tolist() for name, image in images().items()},
        "cases": cases,
    }
    path = Path(__file__).with_name("pyradiomics_glcm.json")
    path.write_text(json.dumps(golden, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
