"""Writes the weights of the ImageNet network beside the pages that load them when a reader asks."""

from pathlib import Path

from sphinx.application import Sphinx

PAGE = "chapters/08_1_photograph_it"


def write(app: Sphinx, failed: Exception | None) -> None:
    """Write them where the book has the page that needs them."""
    if failed or app.builder.format != "html" or PAGE not in app.env.found_docs:
        return
    from tl_experiments import photographing  # a book without that page needs no such package

    photographing.write_weights(Path(app.outdir) / photographing.FOLDER)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("build-finished", write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
