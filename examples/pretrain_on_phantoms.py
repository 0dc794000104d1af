"""Pre-train a tiny autoencoder on synthetic images, from Python.

    python examples/pretrain_on_phantoms.py [FOLDER]

The folder must be new or empty; without one, a temporary folder is used and removed.
"""

import sys
import tempfile
from pathlib import Path

from glcm_mae import PretrainConfig, pretrain, write_phantoms


def main(folder: Path) -> None:
    config = PretrainConfig(
        data={"table": write_phantoms(folder / "phantoms", count=32, size=48, seed=0)},
        model={
            "encoder": "vit_tiny_patch16_224",
            "encoder_options": {"depth": 2, "embed_dim": 48, "num_heads": 3},
            "image_size": 48,
            "patch_size": 8,
            "decoder_depth": 1,
            "decoder_width": 48,
            "decoder_heads": 3,
        },
        losses={"ssim": {"window": 7}},  # the window must fit into a patch
        pretraining={"epochs": 2, "batch_size": 8, "learning_rate": 1e-3, "warmup_epochs": 1},
        out=folder / "run",
    )
    print(f"encoder: {pretrain(config)}")
    print((folder / "run" / "metrics.jsonl").read_text())


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        main(Path(sys.argv[1] if len(sys.argv) > 1 else temporary))
