"""A small web application around one detector: a page to look at, and routes for programs."""

from srtod.serve.limits import Limits
from srtod.serve.run import require_extra, serve

__all__ = ["Limits", "require_extra", "serve"]
