"""HTML pages that need nothing beside themselves: one style, no scripts, all text escaped."""

from typing import Any


def render_page(template: str, **values: Any) -> str:
    """Return a page.

    Args:
        template: Jinja's, which extends ``page.html.j2`` with a block ``content`` (and ``header``).
        **values: what it shows; ``title`` and the paragraphs ``summary`` among them.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("srtod", "plots"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.from_string(template).render(**values)
