"""A small web application around one detector: a page to look at, and routes for programs."""
