"""A report in parts, as text for a terminal and as HTML for a page: sentences, tables with intervals, pictures.

Taught in: no chapter (a tool for what shows itself).
"""

import base64
import html
import io
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from PIL import Image

COLUMNS = 100  # of a sentence in a terminal
SIDE = 112  # pixels of a small picture, at most
# Colours and letters are those of the page, so that it is legible on a light and on a dark one. What is wider than the
# screen scrolls by itself. `*_ignore` on the outer element tells both MathJaxes that two dollar signs are no formula.
STYLE = """<style>
.tl-sheet { color: inherit; max-width: 46rem; line-height: 1.45; overflow-wrap: anywhere; }
.tl-sheet p { margin: 0.35em 0; }
.tl-sheet p.tl-title { margin: 1.1em 0 0.3em; font-weight: bold; }
.tl-sheet .tl-wide { overflow-x: auto; }
.tl-sheet table { border-collapse: collapse; margin: 0; font-size: 0.95em; color: inherit; background: none; }
.tl-sheet tr, .tl-sheet tr:nth-child(n), .tl-sheet tr:hover { background: none; }
.tl-sheet th, .tl-sheet td { padding: 0.2em 0.8em 0.2em 0; border: 0; text-align: right; white-space: nowrap;
  color: inherit; background: none; border-bottom: 1px solid rgba(128, 128, 128, 0.35); }
.tl-sheet thead th { white-space: normal; vertical-align: bottom; }
.tl-sheet thead th { overflow-wrap: normal; }
.tl-sheet th:first-child { text-align: left; white-space: normal; min-width: 8em; overflow-wrap: anywhere; }
.tl-sheet .tl-strip { display: block; position: relative; width: 9em; height: 1em;
  background: rgba(128, 128, 128, 0.18); }
.tl-sheet .tl-strip i { position: absolute; top: 0.3em; height: 0.4em; background: rgba(31, 119, 180, 0.75); }
.tl-sheet .tl-strip b { position: absolute; top: 0; width: 3px; height: 1em; margin-left: -1px;
  background: currentColor; }
.tl-sheet .tl-row { display: flex; gap: 0.4em; overflow-x: auto; }
.tl-sheet .tl-row img { margin: 0; padding: 0; flex: none; }
</style>"""


@dataclass(frozen=True, eq=False)
class Table:
    """A table whose cells are texts, with an interval drawn beside each row where there are some.

    Attributes
    ----------
    title : str
    frame : pandas.DataFrame
        What is shown, as it is shown: the first column names the row.
    intervals : sequence of (float, float or None, float)
        Low end, estimate and high end of each row, 0 to 1; empty for none. Without an estimate nothing is drawn.
    """

    title: str
    frame: pd.DataFrame
    intervals: Sequence[tuple[float, float | None, float]] = ()


@dataclass(frozen=True)
class Pictures:
    """A row of small pictures.

    Attributes
    ----------
    title : str
    files : sequence of bytes
        JPEG, as `jpeg` makes them.
    texts : sequence of str
        What each shows, for whoever does not see it.
    """

    title: str
    files: Sequence[bytes]
    texts: Sequence[str]


Part = str | Table | Pictures


def jpeg(image: np.ndarray, side: int = SIDE) -> bytes:
    """Make a small JPEG of an image.

    Parameters
    ----------
    image : ndarray, shape (H, W, 3), uint8
    side : int
        The longer side has at most so many pixels; nothing is enlarged.

    Returns
    -------
    bytes

    Notes
    -----
    Taught in: no chapter (a tool for what shows itself).
    """
    picture, file = Image.fromarray(np.ascontiguousarray(image)), io.BytesIO()
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    picture.save(file, "JPEG", quality=82, optimize=True)
    return file.getvalue()


def as_text(title: str, parts: Iterable[Part]) -> str:
    """Write parts for a terminal; of pictures only their texts are there.

    Parameters
    ----------
    title : str
    parts : iterable of str, Table or Pictures

    Returns
    -------
    str

    Notes
    -----
    Taught in: no chapter (a tool for what shows itself).
    """
    blocks = [title]
    with pd.option_context("display.unicode.east_asian_width", True, "display.max_colwidth", None):
        for part in parts:
            if isinstance(part, str):
                blocks.append(textwrap.fill(part, COLUMNS))
            elif isinstance(part, Table):
                blocks.append(f"{part.title}\n{part.frame.to_string(index=False, max_rows=None, line_width=10_000)}")
            else:
                blocks.append("\n".join([part.title, *(f"  {text}" for text in part.texts)]))
    return "\n\n".join(blocks)


def as_html(title: str, parts: Iterable[Part]) -> str:
    """Write parts for a page: complete in itself, every text escaped, pictures inside.

    Parameters
    ----------
    title : str
    parts : iterable of str, Table or Pictures

    Returns
    -------
    str

    Notes
    -----
    Taught in: no chapter (a tool for what shows itself).
    """
    writers = {str: _paragraph, Table: _table, Pictures: _pictures}
    inside = "\n".join(writers[type(part)](part) for part in parts)  # type: ignore[operator] # each gets its own kind
    head = f"<p><strong>{html.escape(title)}</strong></p>"
    return f'<div class="tl-sheet tex2jax_ignore mathjax_ignore">{STYLE}\n{head}\n{inside}\n</div>'


def _paragraph(text: str) -> str:
    return f"<p>{html.escape(text)}</p>"


def _table(table: Table) -> str:
    heads = [f'<th scope="col">{html.escape(str(name))}</th>' for name in table.frame.columns]
    rows = []
    for place, (name, *cells) in enumerate(table.frame.itertuples(index=False)):
        row = [f'<th scope="row">{html.escape(str(name))}</th>']
        row += [f"<td>{html.escape(str(cell))}</td>" for cell in cells]
        if len(table.intervals):
            row.append(f'<td aria-hidden="true">{_strip(*table.intervals[place])}</td>')
        rows.append(f"<tr>{''.join(row)}</tr>")
    if len(table.intervals):
        heads.append('<td aria-hidden="true">0 to 100 %</td>')
    body = f"<thead><tr>{''.join(heads)}</tr></thead><tbody>{''.join(rows)}</tbody>"
    return _titled(table.title, "tl-wide", f"<table>{body}</table>")


def _strip(low: float, middle: float | None, high: float) -> str:
    """Draw an interval; its numbers stand beside it."""
    if middle is None:
        return '<span class="tl-strip"></span>'
    bar = f'<i style="left:{100 * low:.1f}%;width:{100 * (high - low):.1f}%"></i>'
    return f'<span class="tl-strip">{bar}<b style="left:{100 * middle:.1f}%"></b></span>'


def _pictures(row: Pictures) -> str:
    images = []
    for file, text in zip(row.files, row.texts, strict=True):
        width, height = Image.open(io.BytesIO(file)).size
        alt, data = html.escape(text), base64.b64encode(file).decode()
        images.append(
            f'<img src="data:image/jpeg;base64,{data}" alt="{alt}" title="{alt}" width="{width}" height="{height}" '
            'loading="lazy" style="background: none; max-width: none; padding: 0">'
        )
    return _titled(row.title, "tl-row", "".join(images))


def _titled(title: str, kind: str, inside: str) -> str:
    """Return what scrolls by itself, with its title above it; the keyboard reaches it."""
    name = html.escape(title)
    scrolling = f'<div class="{kind}" role="region" aria-label="{name}" tabindex="0">{inside}</div>'
    return f'<p class="tl-title">{name}</p>{scrolling}'
