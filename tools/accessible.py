"""Pages that everybody can use, and that are light: what Sphinx and its theme leave out. A Sphinx extension."""

import re
from pathlib import Path
from typing import Any

from docutils import nodes
from PIL import Image
from sphinx.application import Sphinx

IMAGE = re.compile(r'<img (?![^>]*loading=)(?=[^>]*src="[^"]*_images/([^"]+)")')


def shape_images(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.Node | None) -> None:
    """Give each image of a page its size in pixels, so that nothing moves when it comes, and let it wait."""
    sources = {name: app.srcdir / path for path, name in app.builder.images.items()}

    def attributes(match: re.Match[str]) -> str:
        width, height = size_of(sources[match[1]])
        return f'<img loading="lazy" width="{width}" height="{height}" '

    if "body" in context:
        context["body"] = IMAGE.sub(attributes, context["body"])


def name_toggles(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.Node | None) -> None:
    """Say in words what the arrows beside the chapters of the sidebar do: the theme has them as pictures alone."""
    if "generate_toctree_html" in context:
        write = context["generate_toctree_html"]
        label = '<summary aria-label="Show or hide the sections of this chapter">'
        context["generate_toctree_html"] = lambda *kind, **how: str(write(*kind, **how)).replace("<summary>", label)


def size_of(path: Path | str) -> tuple[int, int]:
    """Return width and height of a picture, in pixels; those of a drawing stand in its first line."""
    if (path := Path(path)).suffix == ".svg":
        lengths = re.search(r'width="(\d+)" height="(\d+)"', path.read_text(encoding="utf-8"))
        assert lengths, f"{path} does not say how large it is"
        return int(lengths[1]), int(lengths[2])
    with Image.open(path) as picture:
        return picture.size


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("html-page-context", shape_images)
    app.connect("html-page-context", name_toggles, priority=900)  # after the theme
    return {"parallel_read_safe": True, "parallel_write_safe": True}
