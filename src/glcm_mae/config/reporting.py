"""Settings of the report on finished runs."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from glcm_mae.config.base import Settings


class ReportConfig(Settings):
    """Settings of ``glcm-mae report``."""

    runs: Annotated[tuple[str, ...], Field(min_length=1)]
    """Run folders of finished cross-validations, each as FOLDER or NAME=FOLDER."""
    out: Path
    """HTML file to create; beside it a folder of figures and tables for papers."""
    with_images: bool = False
    """Show images of patients: the page must then not be passed on."""
    table: Path | None = None
    """Where the images lie now, for with_images; none: where they lay when a run was begun."""
    reconstruction: tuple[Path, ...] = ()
    """Folders of glcm-mae reconstruct; none: what lies beside the runs."""
    comparison: tuple[Path, ...] = ()
    """Folder of glcm-mae compare; none: what lies beside the runs."""
    explanations: tuple[Path, ...] = ()
    """Folders of glcm-mae explain; none: what lies beside the runs."""
    controls: tuple[Path, ...] = ()
    """Folders of glcm-mae controls; none: what lies beside the runs."""
    robustness: tuple[Path, ...] = ()
    """Folders of glcm-mae robustness; none: what lies beside the runs."""
    audit: tuple[Path, ...] = ()
    """Folder of glcm-mae data audit; none: what lies beside the runs."""
    compute: Literal["on", "off"] = "on"
    """Compute what is missing and cheap, which is the comparison of the runs."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(set(self.runs)) < len(self.runs):
            raise ValueError("runs: names a run twice; name each once")
        if self.out.suffix.lower() not in (".html", ".htm"):
            raise ValueError(f"out: must end in .html, such as report.html, got {self.out}")
        if self.table is not None and not self.with_images:
            raise ValueError("table: is only read with_images; leave it out")
        return self
