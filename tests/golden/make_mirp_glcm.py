"""Write mirp_glcm.json: what mirp makes of the IBSI phantom and of a random volume.

Run in an environment of its own: Python 3.11 and mirp 2.7.
"""

import json
from importlib.metadata import version
from pathlib import Path

import mirp
import numpy as np

HERE = Path(__file__).parent
METHODS = {
    "2d_averaged": "2d_average",
    "2d_slice_merged": "2d_slice_merge",
    "2.5d_direction_merged": "2.5d_direction_merge",
    "2.5d_merged": "2.5d_volume_merge",
    "3d_averaged": "3d_average",
    "3d_merged": "3d_volume_merge",
}


def volumes():
    """Gray levels from 1, with 0 outside the mask."""
    phantom = json.loads((HERE / "ibsi_digital_phantom.json").read_text(encoding="utf-8"))
    random = np.random.default_rng(20240601)
    noise = random.normal(size=(6, 9, 8))
    smooth = noise[:-1, :-1, :-1] + noise[1:, 1:, 1:] + noise[1:, 1:, :-1]
    ranks = smooth.ravel().argsort().argsort().reshape(smooth.shape)
    volume = 1 + ranks * 8 // ranks.size
    volume[random.random(volume.shape) < 0.15] = 0
    return {"phantom": np.array(phantom["volume"]), "random": volume}


def measure(volume, method):
    """Return the 25 features under mirp's names without their settings."""
    (table,) = mirp.extract_features(
        image=volume.astype(float),
        mask=(volume > 0).astype(int),
        base_discretisation_method="none",
        base_feature_families="cm",
        glcm_distance=1.0,
        glcm_spatial_method=method,
    )
    return {
        column.split("_d1_")[0]: float(table[column].iloc[0])
        for column in table.columns
        if column.startswith("cm_")
    }


def main():
    golden = {
        "source": f"mirp {version('mirp')}, symmetric matrices at Chebyshev distance 1; "
        "written by make_mirp_glcm.py",
        "volumes": {
            name: {
                "levels": int(volume.max()),
                "volume": volume.tolist(),
                "values": {ours: measure(volume, theirs) for ours, theirs in METHODS.items()},
            }
            for name, volume in volumes().items()
        },
    }
    text = json.dumps(golden, indent=1) + "\n"
    (HERE / "mirp_glcm.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
