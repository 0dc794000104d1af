"""Settings of the documentation; ``make docs`` builds it."""

import re
from typing import Any

from glcm_mae.version import __version__

project = "glcm-mae"
author = "The glcm-mae contributors"
copyright = "the glcm-mae contributors; Apache-2.0"
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
source_suffix = {".md": "markdown"}
myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True  # else fields of named tuples are described twice
napoleon_custom_sections = ["Convention"]

html_theme = "furo"
html_title = f"glcm-mae {__version__}"
html_show_sourcelink = False


def plain_text(app: Any, what: str, name: str, obj: Any, options: Any, lines: Any) -> None:
    """Say in Sphinx's words what docstrings say plainly.

    Footnotes become text, for [1] of many docstrings would clash on one page, and the star
    of a shape such as (channels, *size) does not begin an emphasis.
    """
    del app, what, name, obj, options
    for number, line in enumerate(lines):
        footnote = re.sub(r"^\.\. (\[\d\])", r"| \1", line)
        reference = re.sub(r"\[(\d)\]_", r"[\1]", footnote)
        lines[number] = re.sub(r", \*(\w+\))", r", \\*\1", reference)


def setup(app: Any) -> None:
    """Register the hook."""
    app.connect("autodoc-process-docstring", plain_text, priority=900)
