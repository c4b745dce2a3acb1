"""The documentation site: ``uv run --group docs sphinx-build -W docs site``."""

import sys
from importlib import metadata
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

project = "srtod"
author = "the srtod developers"
release = metadata.version("srtod")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinxcontrib.mermaid",
    "verb_options",
]
exclude_patterns = ["images"]
html_theme = "furo"
html_show_copyright = False
html_title = f"srtod {release}"

myst_heading_anchors = 3
myst_fence_as_directive = ["mermaid"]
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True, "show-inheritance": True}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_ivar = True  # else each attribute would be described twice
