"""A small web application around one detector: a page to look at, and routes for programs."""

from srtod.serve.limits import Limits, fitting_megapixels
from srtod.serve.run import require_extra, serve

__all__ = ["Limits", "fitting_megapixels", "require_extra", "serve"]
