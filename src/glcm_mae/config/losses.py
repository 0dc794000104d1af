"""Settings of what a reconstruction is asked for."""

from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from glcm_mae.config.base import NonNegative, Positive, Settings
from glcm_mae.config.model import ModelConfig


class MSEConfig(Settings):
    """The pixel term."""

    normalised: bool = False
    """Divide every patch's error by its target's variance."""


class ScaleConfig(Settings):
    """How coarsely the texture term looks, and at which neighbours."""

    levels: Annotated[int, Field(ge=2, le=256)] = 32
    """Gray-level bins on [0, 1]."""
    bandwidth: Annotated[float, Field(gt=0.0, le=4.0)] = 0.5
    """Width of the soft bins' edges, in bin widths; small is sharp (the paper's W is 1/b)."""
    offsets: Annotated[tuple[tuple[int, int], ...], Field(min_length=1)] = ((0, 1), (1, 0))
    """Displacements (rows, columns) at which gray levels are paired."""


class GLCMConfig(ScaleConfig):
    """The texture term."""

    further_scales: tuple[ScaleConfig, ...] = ()
    """More levels, bandwidths and offsets, whose distances are added: a list of mappings."""
    symmetric: bool = False
    """Count every pair in both directions."""
    engine: Literal["fused", "dense"] = "fused"
    """How the term is computed; both give the same, the dense formula slowly."""


class SSIMConfig(Settings):
    """The structure term."""

    window: Annotated[int, Field(ge=3)] = 11
    """Side of the Gaussian window in pixels; odd, at most the patch."""
    sigma: Positive = 1.5
    """Standard deviation of the window in pixels."""
    border: Literal["inside", "whole"] = "inside"
    """Windows wholly inside a patch, where its border hardly counts, or at every pixel."""

    @field_validator("window")
    @classmethod
    def _odd(cls, value: int) -> int:
        if value % 2 == 0:
            raise ValueError(f"the window must be odd, got {value}")
        return value


class PhaseConfig(Settings):
    """The weights of the terms during one share of the epochs."""

    share: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    """Share of the pre-training epochs that this phase takes."""
    mse: NonNegative = 0.0
    """Weight of the mean squared error."""
    glcm: NonNegative = 0.0
    """Weight of the GLCM distance."""
    ssim: NonNegative = 0.0
    """Weight of 1 - SSIM."""

    @model_validator(mode="after")
    def _some_weight(self) -> Self:
        if self.mse == self.glcm == self.ssim == 0.0:
            raise ValueError("a phase needs at least one weight above 0 (mse, glcm or ssim)")
        return self


class LossesConfig(Settings):
    """What a reconstruction is asked for."""

    mse: MSEConfig = MSEConfig()
    glcm: GLCMConfig = GLCMConfig()
    ssim: SSIMConfig = SSIMConfig()
    balance: Literal["fixed", "gradnorm"] = "fixed"
    """Weights as given, or as the terms' shares of the gradient norm, measured as they go."""
    phases: Annotated[tuple[PhaseConfig, ...], Field(min_length=1)] = (
        PhaseConfig(share=0.5, mse=1.0),
        PhaseConfig(share=0.5, mse=1.0, glcm=1.0, ssim=0.1),
    )
    """Phases in order; their shares sum to 1."""

    @model_validator(mode="after")
    def _shares(self) -> Self:
        total = sum(phase.share for phase in self.phases)
        if abs(total - 1.0) > 1e-6:
            raise ValueError(f"the shares of losses.phases must sum to 1, got {total:g}")
        return self


def check_losses_fit_patch(losses: LossesConfig, model: ModelConfig) -> None:
    """Refuse windows and offsets that do not fit into a patch.

    Raises:
        ValueError: If the SSIM window is larger than the patch or an offset as large.
    """
    patch = model.patch_size
    uses_ssim = any(phase.ssim > 0 for phase in losses.phases)
    if uses_ssim and losses.ssim.window > patch:
        raise ValueError(
            f"losses.ssim.window {losses.ssim.window} is larger than model.patch_size {patch}: "
            f"pass --losses.ssim.window {patch - 1 + patch % 2}"
        )
    scales = (losses.glcm, *losses.glcm.further_scales)
    for rows, cols in (offset for scale in scales for offset in scale.offsets):
        if max(abs(rows), abs(cols)) >= patch or (rows, cols) == (0, 0):
            raise ValueError(
                f"losses.glcm.offsets ({rows}, {cols}) must be shorter than model.patch_size "
                f"{patch} and not (0, 0)"
            )
