"""Settings of how a classifier is judged."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from glcm_mae.config.base import Settings


def _rule(value: Any) -> Any:
    if value == "youden":
        return value
    try:
        sensitivity = float(value)
    except (TypeError, ValueError):
        sensitivity = 0.0
    if not 0.0 < sensitivity <= 1.0:
        raise ValueError(
            f"must be youden or a sensitivity above 0 and up to 1, such as 0.9, got {value!r}"
        )
    return sensitivity


OperatingPoint = Annotated[Literal["youden"] | float, BeforeValidator(_rule)]


class EvaluationConfig(Settings):
    """Intervals, and the threshold above which an image is called positive."""

    operating_point: OperatingPoint = "youden"
    """How the inner part chooses the threshold: Youden's index, or a sensitivity to reach."""
    confidence: Annotated[float, Field(ge=0.5, lt=1.0)] = 0.95
    """Share of such intervals that hold the true value."""
    resamples: Annotated[int, Field(ge=200)] = 2000
    """Resamples of the bootstrap."""

    def judging(self, seed: int) -> dict[str, Any]:
        """Return the arguments of ``glcm_mae.evaluation.Judging``."""
        return {**self.model_dump(), "seed": seed}
