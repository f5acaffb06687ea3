"""Buttons for Binder and Colab only where `_config.yml` names the repository that they open."""

from sphinx.application import Sphinx
from sphinx.config import Config


def drop_without_repository(_: Sphinx, config: Config) -> None:
    """Take the buttons out where no repository is named: the theme would stop at them."""
    if not config.html_theme_options.get("repository_url"):
        config.html_theme_options.pop("launch_buttons", None)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register with Sphinx."""
    app.connect("config-inited", drop_without_repository)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
