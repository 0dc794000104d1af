"""The commands that study finished runs: what each tells at the end."""

from collections.abc import Sequence
from typing import Any


def reconstruct(config: Any, _: bool) -> Sequence[str]:
    """Run ``glcm-mae reconstruct``."""
    from glcm_mae.analysis import reconstruct as run

    means = run(config)
    numbers = ", ".join(f"{name} {value:.4g}" for name, value in means.items())
    return (
        f"mean over hidden patches: {numbers}",
        f"picture: {config.out / 'reconstructions.png'}",
        f"table:   {config.out / 'reconstructions.csv'}",
    )
