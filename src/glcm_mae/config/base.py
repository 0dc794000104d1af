"""What all settings share: frozen, whole, unknown keys refused."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

PositiveInt = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
NonNegative = Annotated[float, Field(ge=0.0)]
Positive = Annotated[float, Field(gt=0.0)]
Seed = Annotated[int, Field(ge=0, lt=2**31)]
Beta = Annotated[float, Field(ge=0.0, lt=1.0)]


def _square(value: Any) -> Any:
    if isinstance(value, str | int) and str(value).isdigit():
        return (int(value), int(value))
    return value


ImageSize = Annotated[tuple[PositiveInt, PositiveInt], BeforeValidator(_square)]


class Settings(BaseModel):
    """Base of all sections: frozen, unknown keys refused, field docs kept."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, allow_inf_nan=False
    )
