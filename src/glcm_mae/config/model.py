"""Settings of the masked autoencoder."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from glcm_mae.config.base import ImageSize, PositiveInt, Settings


class ModelConfig(Settings):
    """The masked autoencoder: a timm ViT as encoder and a lighter decoder."""

    encoder: str = "vit_base_patch16_224"
    """Name of a timm vision transformer."""
    encoder_options: dict[str, int] = {}
    """Arguments that override the named encoder's, such as depth, embed_dim, num_heads."""
    image_size: ImageSize = (224, 224)
    """Height and width in pixels; one number means a square."""
    patch_size: PositiveInt = 16
    """Side of a patch in pixels; unless given, the one in the encoder's name."""
    channels: Literal[1, 3] = 1
    """1 for gray images, 3 for colour."""
    mask_ratio: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.75
    """Share of the patches that is hidden."""
    decoder_depth: PositiveInt = 8
    """Transformer blocks of the decoder."""
    decoder_width: PositiveInt = 512
    """Token width of the decoder; a multiple of 4 and of decoder_heads."""
    decoder_heads: PositiveInt = 16
    """Attention heads of the decoder."""

    @model_validator(mode="before")
    @classmethod
    def _patch_from_name(cls, values: Any) -> Any:
        if isinstance(values, dict) and "patch_size" not in values:
            found = patch_in_name(str(values.get("encoder", "")))
            if found:
                return {**values, "patch_size": found}
        return values

    @model_validator(mode="after")
    def _check_sizes(self) -> Self:
        height, width = self.image_size
        if height % self.patch_size or width % self.patch_size:
            raise ValueError(
                f"model.image_size {height} x {width} is no multiple of model.patch_size "
                f"{self.patch_size}: choose for instance {_near(height, self.patch_size)} x "
                f"{_near(width, self.patch_size)}"
            )
        if self.decoder_width % self.decoder_heads or self.decoder_width % 4:
            raise ValueError(
                f"model.decoder_width {self.decoder_width} must be a multiple of 4 and of "
                f"model.decoder_heads {self.decoder_heads}"
            )
        return self


def patch_in_name(encoder: str) -> int | None:
    """Return the patch size that the name of an encoder tells, if it does.

    Example:
        >>> patch_in_name("vit_tiny_patch16_224")
        16
    """
    found = re.search(r"patch(\d+)", encoder)
    return int(found.group(1)) if found else None


def _near(length: int, patch: int) -> int:
    return max(1, round(length / patch)) * patch
