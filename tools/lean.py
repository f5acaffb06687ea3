"""Light pages: an image loads when it is needed, and its place is kept until then. A Sphinx extension."""

import re
from pathlib import Path

from PIL import Image

IMAGE = re.compile(r'<img (?![^>]*loading=)(?=[^>]*src="[^"]*_images/([^"]+)")')


def shape_images(app, page, template, context, doctree):
    """Give each image of a page its size in pixels, so that nothing moves when it comes, and let it wait."""
    sources = {name: app.srcdir / path for path, name in app.builder.images.items()}

    def attributes(match):
        width, height = size_of(sources[match[1]])
        return f'<img loading="lazy" width="{width}" height="{height}" '

    if "body" in context:
        context["body"] = IMAGE.sub(attributes, context["body"])


def size_of(path):
    """Return width and height of a picture, in pixels."""
    with Image.open(Path(path)) as picture:
        return picture.size


def setup(app):
    """Register with Sphinx."""
    app.connect("html-page-context", shape_images)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
