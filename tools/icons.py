"""Write static/icons.css: the icons of the theme's buttons as style rules, taken from the theme's own Font Awesome.

    python tools/icons.py

The theme would load all two thousand of them as a program of 1.5 MB on each page. Run it after a new version of the
theme; a test compares the file with what it would write, and another finds icons on the pages that it lacks.
"""

import re
from collections.abc import Iterable
from importlib import resources
from pathlib import Path
from urllib.parse import quote

FILE = Path(__file__).resolve().parent.parent / "static" / "icons.css"
NAMES = (
    *("angle-left", "angle-right", "arrow-up", "bars", "chevron-down", "circle-half-stroke", "code", "download"),
    *("expand", "file", "file-pdf", "github", "lightbulb", "list", "magnifying-glass", "moon", "pencil", "play"),
    *("rocket", "sun", "xmark"),
)
ICON = re.compile(r'"?([a-z-]+)"?:\[(\d+),(\d+),\[([^]]*)\],"[0-9a-f]+","([^"]+)"\]')
HEAD = """\
/* Written by tools/icons.py. Font Awesome Free, https://fontawesome.com, icons under CC BY 4.0. */
:is(.fa-solid, .fas, .fa-regular, .fa-brands, .fab) {
  display: inline-block;
  width: 1.25em;
  height: 1em;
  vertical-align: -0.125em;
  background: currentcolor;
  mask: var(--icon) center / contain no-repeat;
}
.fa-lg {
  font-size: 1.25em;
}
"""


def rules() -> str:
    """Return the style sheet."""
    theme = resources.files("pydata_sphinx_theme") / "theme" / "pydata_sphinx_theme" / "static" / "scripts"
    found = {}
    for name, width, height, aliases, path in ICON.findall((theme / "fontawesome.js").read_text(encoding="utf-8")):
        if name in NAMES:  # of two styles, the last is the solid one
            also = re.findall(r'"([a-z-]+)"', aliases)
            found[name] = (
                also,
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"><path d="{path}"/></svg>',
            )
    lacking = set(NAMES) - set(found)
    if lacking:
        raise SystemExit(f"The theme's Font Awesome has no icon {', '.join(sorted(lacking))}.")
    return HEAD + "".join(rule(name, *found[name]) for name in NAMES)


def rule(name: str, aliases: Iterable[str], svg: str) -> str:
    """Return the rule of one icon."""
    classes = ", ".join(f".fa-{each}" for each in (name, *aliases))
    return f':is({classes}) {{\n  --icon: url("data:image/svg+xml,{quote(svg, safe=" /=:")}");\n}}\n'


if __name__ == "__main__":
    FILE.write_text(rules(), encoding="utf-8")
