"""Make what a teacher hands out and shows, from the built book: `python tools/kit.py` is `make kit` after `make book`.

    _build/kit/students/   the pages as notebooks without solutions, the built site without them, and the homework
    _build/kit/teacher/    slides of every figure, the questions as a sheet to print, the homework with its answers

It is made anew as a whole each time, from the site that `make book` has just brought up to date.
"""

import base64
import html
import shutil
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import nbformat
from bs4 import BeautifulSoup
from nbformat import NotebookNode
from sphinx_external_toc.parsing import parse_toc_yaml

ROOT = Path(__file__).resolve().parent.parent
SITE, KIT = ROOT / "_build" / "html", ROOT / "_build" / "kit"
HOMEWORK = "homework.ipynb"
SOLUTION = "solution"  # the tag of a cell that solves an exercise
LETTERS = "ABCDEFGH"
STYLE = """
body { font: 18px/1.45 "DejaVu Sans", Verdana, sans-serif; margin: 0; color: #1b1f24; background: #fff }
main { max-width: 46em; margin: 0 auto; padding: 1em }
html.slides { scroll-snap-type: y mandatory }
.slides section { box-sizing: border-box; height: 100vh; padding: 3vh 5vw; scroll-snap-align: start;
  display: flex; flex-direction: column; gap: 1.5vh; break-after: page }
.slides h2 { margin: 0; font-size: 1.3em }
.slides img { flex: 1; min-height: 0; object-fit: contain; align-self: center; max-width: 100% }
.slides p { margin: 0 }
.notes { font-size: 0.8em; color: #4a5560 }
li { margin: 0.3em 0 }
.key { break-before: page }
@page { size: A4 }
"""


class KitError(Exception):
    """The kit was not made; the message says why."""


class Figure(NamedTuple):
    """A figure of the built book."""

    page: str  # title of its page
    caption: str
    shows: str  # what it shows, in words
    file: Path


def pages(root: Path) -> list[str]:
    """Return the pages of the book in reading order, such as "chapters/01_background"."""
    return list(parse_toc_yaml(root / "_toc.yml"))


def without_solutions(notebook: NotebookNode) -> NotebookNode:
    """Remove in place the cells that solve exercises."""
    notebook.cells = [cell for cell in notebook.cells if SOLUTION not in cell.metadata.get("tags", [])]
    return notebook


def write_notebook(source: Path, target: Path) -> None:
    """Copy a notebook without its solutions."""
    notebook = without_solutions(nbformat.read(source, nbformat.NO_CONVERT))
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")


def copy_pages(root: Path, target: Path) -> None:
    """Copy the chapters, notebooks without their solutions, and what lies beside them."""
    for path in sorted((root / "chapters").rglob("*")):
        place = target / path.relative_to(root)
        if any(part.startswith((".", "__")) for part in path.parts[-2:]) or not path.is_file():
            continue
        place.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".ipynb":
            write_notebook(path, place)
        else:
            shutil.copy(path, place)


def copy_site(site: Path, target: Path) -> None:
    """Copy the built site without solutions, in its pages and in the notebooks that they offer to download."""
    shutil.copytree(site, target)
    for path in target.rglob("*.ipynb"):
        write_notebook(path, path)
    for path in target.rglob("*.html"):
        text = path.read_text(encoding="utf-8")
        if f"tag_{SOLUTION}" not in text:
            continue
        page = BeautifulSoup(text, "html.parser")
        for cell in page.select(f"div.cell.tag_{SOLUTION}"):
            cell.decompose()
        path.write_text(str(page), encoding="utf-8")


def figures(root: Path, site: Path) -> Iterator[Figure]:
    """Find the figures that the chapters draw, in reading order."""
    for name in pages(root):
        path = site / f"{name}.html"
        page = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
        title = page.title.get_text().split(" — ")[0] if page.title else name
        for figure in page.select(".cell_output figure:has(img):has(figcaption)"):
            image, caption = figure.select_one("img"), figure.select_one("figcaption .caption-text")
            if image is None or caption is None or figure.find_parent(class_=f"tag_{SOLUTION}"):
                continue
            file = (path.parent / str(image["src"])).resolve()
            yield Figure(title, caption.get_text(), str(image["alt"]), file)


def document(title: str, body: str, kind: str = "sheet") -> str:
    """Return a page that needs no other file."""
    head = f'<meta charset="utf-8"><title>{html.escape(title)}</title><style>{STYLE}</style>'
    return f'<!doctype html>\n<html lang="en" class="{kind}"><head>{head}</head><body>{body}</body></html>\n'


def slides(found: list[Figure]) -> str:
    """Return one slide for each figure: its page and caption, the figure, and what it shows."""
    parts = []
    for number, (page, caption, shows, file) in enumerate(found, start=1):
        data = base64.b64encode(file.read_bytes()).decode()
        kind = "svg+xml" if file.suffix == ".svg" else file.suffix[1:]
        image = f'<img alt="{html.escape(shows)}" src="data:image/{kind};base64,{data}">'
        head = f"<h2>{html.escape(page)}</h2><p>{html.escape(caption)}</p>"
        notes = f'<p class="notes">{number} of {len(found)}. What it shows: {html.escape(shows.rstrip("."))}.</p>'
        parts.append(f"<section>{head}{image}{notes}</section>")
    return document("Figures of the book", "\n".join(parts), "slides")


def questions(root: Path) -> str:
    """Return the questions of all chapters as a sheet to print, and their answers with the reasons after them."""
    asked = tomllib.loads((root / "tl_helpers/assets/quizzes.toml").read_text(encoding="utf-8"))
    sheet, key = ["<h1>Questions</h1>"], ['<div class="key"><h1>Answers</h1>']
    for name in (page.rsplit("/", 1)[-1] for page in pages(root)):
        if name not in asked:
            continue
        title = html.escape(title_of(root / f"chapters/{name}.ipynb"))
        sheet.append(f"<h2>{title}</h2><ol>")
        key.append(f"<h2>{title}</h2><ol>")
        for question in asked[name]:
            choices = "".join(f"<li>{html.escape(words)}</li>" for words, _ in question["choices"])
            sheet.append(f'<li>{html.escape(question["question"])}<ol type="A">{choices}</ol></li>')
            reason = html.escape(question["choices"][question["right"]][1])
            key.append(f"<li><b>{LETTERS[question['right']]}</b> {reason}</li>")
        sheet.append("</ol>")
        key.append("</ol>")
    return document("Questions", f"<main>{''.join(sheet)}{''.join(key)}</div></main>")


def title_of(path: Path) -> str:
    """Return the first heading of a notebook."""
    cells = nbformat.read(path, nbformat.NO_CONVERT).cells
    first = next(cell.source for cell in cells if cell.cell_type == "markdown")
    return first.splitlines()[0].removeprefix("# ")


def make(root: Path = ROOT, site: Path = SITE, target: Path = KIT) -> Path:
    """Make the kit in one move: a kit that was there stays until the new one is complete."""
    if not (site / "index.html").is_file():
        raise KitError(f"There is no built site in {site}. Build it first: make book")
    target.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=target.parent) as place:
        new, students, teacher = Path(place) / "kit", Path(place) / "kit/students", Path(place) / "kit/teacher"
        teacher.mkdir(parents=True)
        copy_pages(root, students)
        copy_site(site, students / "site")
        write_notebook(root / "homework" / HOMEWORK, students / HOMEWORK)
        shutil.copy(root / "homework" / HOMEWORK, teacher / f"solved_{HOMEWORK}")
        (teacher / "slides.html").write_text(slides(list(figures(root, site))), encoding="utf-8")
        (teacher / "questions.html").write_text(questions(root), encoding="utf-8")
        if target.exists():
            target.rename(Path(place) / "old")
        new.rename(target)
    return target


if __name__ == "__main__":
    try:
        print(f"The kit is in {make()}")
    except KitError as error:
        sys.exit(str(error))
