"""Print the built book into one PDF, in reading order, with an outline, page numbers and links between its pages.

    python tools/pdf.py [--html FOLDER] [--output FILE]

Each page is printed by the browser that the tests use; static/book.css says how a page looks on paper.
"""

import argparse
import html
import io
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from urllib.parse import unquote

import browser
import yaml
from playwright.sync_api import Page, sync_playwright
from pypdf import PageObject, PdfReader, PdfWriter
from pypdf.generic import ArrayObject, Fit, FloatObject, NameObject, NullObject
from sphinx_external_toc.parsing import parse_toc_yaml

from tl_base import files

ROOT = Path(__file__).resolve().parent.parent
Heading = tuple[int, str, str]  # level, id, text
Chapter = tuple[str, str, int]  # name, title, number of the first page
Place = tuple[PageObject, float, float]  # page, left, top
Printed = tuple[str, str, list[Heading], PdfReader]  # name, title, headings, pages
WITHIN = "book:"  # marks a link to another place of the book, until all pages are known
# Waits for formulas, fonts and images. A browser writes only those targets into a PDF that the same page links to:
# hence one invisible link to each.
PREPARE = """async ([base, within]) => {
    await window.MathJax?.startup?.promise;
    await document.fonts.ready;
    await Promise.all([...document.images].map(image => {
        image.loading = "eager";
        return image.decode().catch(() => 0);
    }));
    const main = document.querySelector("main");
    for (const link of main.querySelectorAll("a[href]"))
        if (link.href.startsWith(base)) link.setAttribute("href", within + link.href.slice(base.length));
    const targets = document.createElement("div");
    targets.hidden = true;
    for (const {id} of main.querySelectorAll("[id]"))
        targets.appendChild(document.createElement("a")).href = "#" + encodeURIComponent(id);
    main.append(targets);
    const headings = [...main.querySelectorAll("article :is(h1, h2, h3)")].map(heading => {
        const text = heading.cloneNode(true);
        text.querySelectorAll(".headerlink").forEach(link => link.remove());
        return [Number(heading.tagName[1]), heading.closest("[id]")?.id ?? "", text.textContent.trim()];
    });
    return [document.title.split(" — ")[0], headings];
}"""
STYLE = """<meta charset="utf-8"><style>
@page { size: A4; margin: 0 }
body { margin: 0; font: 10.5pt/1.5 "DejaVu Sans", sans-serif }
section { box-sizing: border-box; height: 297mm; padding: 0 18mm; position: relative; break-after: page }
.foot { position: absolute; left: 18mm; right: 18mm; bottom: 9mm; display: flex; justify-content: space-between;
  font-size: 8pt; color: #555 }
.front { height: auto; padding-top: 45mm }
h1 { font-size: 28pt; line-height: 1.2; margin: 0 }
.author { margin: 4mm 0 20mm }
.line { display: flex; color: inherit; text-decoration: none; margin: 0 0 1.5mm }
.line i { flex: 1; border-bottom: 1px dotted #999; margin: 0 2mm 1.5mm }
</style>"""


class PrintError(Exception):
    """The book was not printed; the message says why."""


def built_pages(site: Path) -> list[str]:
    """Return the names of the pages of the table of contents; all must be built."""
    names = list(parse_toc_yaml(ROOT / "_toc.yml"))
    missing = [name for name in names if not (site / f"{name}.html").is_file()]
    if missing:
        raise PrintError(f"These pages are not built in {site}: {', '.join(missing)}. Build them first: make book")
    return names


def print_page(tab: Page, site: Path, name: str) -> tuple[str, list[Heading], PdfReader]:
    """Print one page of the site; return its title, its headings (level, target, text) and the PDF."""
    base = f"{site.as_uri()}/"
    tab.goto(f"{base}{name}.html")
    title, headings = tab.evaluate(PREPARE, [base, WITHIN])
    return title, headings, PdfReader(io.BytesIO(tab.pdf(prefer_css_page_size=True, print_background=True)))


def print_text(tab: Page, text: str) -> PdfReader:
    """Print a page that is made here."""
    tab.set_content(STYLE + text)
    return PdfReader(io.BytesIO(tab.pdf(prefer_css_page_size=True)))


def front_matter(book: str, author: str, chapters: Iterable[Chapter]) -> str:
    """Return title and contents as HTML; `chapters` are (name, title, number of the first page)."""
    lines = "".join(
        f'<a class="line" href="{WITHIN}{name}.html">{html.escape(title)}<i></i>{number}</a>'
        for name, title, number in chapters
    )
    head = f'<h1>{html.escape(book)}</h1><div class="author">{html.escape(author)}</div>'
    return f'<section class="front">{head}{lines}</section>'


def footers(chapters: Sequence[Chapter], count: int) -> str:
    """Return HTML with one sheet a page of the book: the chapter's title and the page number at its foot."""
    starts = [number for *_, number in chapters] + [count + 1]
    ends = zip(chapters, starts[1:], strict=True)
    titles = [title for (_, title, first), after in ends for _ in range(first, after)]
    return "".join(
        f'<section><div class="foot"><span>{html.escape(title)}</span><span>{number}</span></div></section>'
        for number, title in enumerate(titles, start=1)
    )


def targets_of(name: str, reader: PdfReader, pages: Sequence[PageObject]) -> dict[str, Place]:
    """Return where each place of a printed page lies in the whole: (page, left, top) by `NAME.html#FRAGMENT`."""
    found = {f"{name}.html": (pages[0], 0, pages[0].mediabox.height)}
    for key, place in reader.named_destinations.items():
        number = reader.get_destination_page_number(place)
        found[f"{name}.html#{unquote(key.lstrip('/'))}"] = (pages[number], place.left, place.top)
    return found


def add_outline(writer: PdfWriter, headings: Iterable[Heading], places: Iterable[Place]) -> None:
    """Add the headings of a page to the outline, each below the last one of a higher level."""
    above = {}
    for (level, _, text), (page, left, top) in zip(headings, places, strict=True):
        above = {other: entry for other, entry in above.items() if other < level}
        parent = above[max(above)] if above else None
        above[level] = writer.add_outline_item(
            title=text, page_number=page.page_number, parent=parent, fit=Fit.xyz(left, top)
        )


def connect(writer: PdfWriter, targets: dict[str, Place]) -> None:
    """Turn the links that are marked `WITHIN` into links inside the PDF; one that leads to no page loses its link."""
    for page in writer.pages:
        kept = ArrayObject()
        for reference in page.get("/Annots", ()):
            note = reference.get_object()
            address = str(note.get("/A", {}).get("/URI", ""))
            if address.startswith(WITHIN):
                place = unquote(address.removeprefix(WITHIN))
                target = targets.get(place) or targets.get(place.partition("#")[0])
                if target is None:
                    continue
                to, left, top = target
                del note["/A"]
                spot = [to.indirect_reference, NameObject("/XYZ"), FloatObject(left), FloatObject(top), NullObject()]
                note[NameObject("/Dest")] = ArrayObject(spot)
            kept.append(reference)
        page[NameObject("/Annots")] = kept


def bind(front: PdfReader, printed: Iterable[Printed], numbers: PdfReader) -> PdfWriter:
    """Put the front matter and the printed pages, with their footers, into one PDF; return its writer."""
    writer, targets, first = PdfWriter(), {}, len(front.pages)
    writer.append(front)
    for name, _, headings, reader in printed:
        start = len(writer.pages)
        writer.append(reader)
        targets |= targets_of(name, reader, writer.pages[start:])
        add_outline(writer, headings, [targets.get(f"{name}.html#{h[1]}", targets[f"{name}.html"]) for h in headings])
    for page, number in zip(writer.pages[first:], numbers.pages, strict=True):
        page.merge_page(number)
    connect(writer, targets)
    writer.set_page_label(0, first - 1, style="/r")
    writer.set_page_label(first, len(writer.pages) - 1, style="/D", start=1)
    return writer


def missing_letters() -> str:
    """Say that Chinese words would be printed as boxes, where no font has their letters; an empty text if one has."""
    if shutil.which("fc-list") is None:  # not Linux: macOS and Windows bring such fonts
        return ""
    if subprocess.run(["fc-list", ":lang=zh"], capture_output=True, text=True, check=False).stdout.strip():
        return ""
    return "No font has Chinese letters: the glossary's Chinese words are boxes. Debian: apt install fonts-wqy-zenhei"


def print_book(site: Path, output: Path) -> int:
    """Print the site in `site` into the file `output`; return the number of pages."""
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    names = built_pages(site)
    with sync_playwright() as playwright, browser.launch(playwright) as chromium:
        tab = chromium.new_page(color_scheme="light")
        printed = [(name, *print_page(tab, site, name)) for name in names]
        chapters, count = [], 0
        for name, title, _, reader in printed:
            chapters.append((name, title, count + 1))
            count += len(reader.pages)
        front = print_text(tab, front_matter(config["title"], config["author"], chapters))
        numbers = print_text(tab, footers(chapters, count))
    writer = bind(front, printed, numbers)
    writer.add_metadata({"/Title": config["title"], "/Author": config["author"]})
    with files.replacing(output) as file:
        writer.write(file)
    return len(writer.pages)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--html", type=Path, default=ROOT / "_build/html", help="the built site (default: _build/html)")
    parser.add_argument("--output", type=Path, default=ROOT / "_build/book.pdf", help="default: _build/book.pdf")
    options = parser.parse_args()
    try:
        pages = print_book(options.html.resolve(), options.output.resolve())
    except (PrintError, browser.NoBrowserError) as error:
        sys.exit(str(error))
    except OSError as error:
        sys.exit(f"The PDF cannot be written: {error}")
    if hint := missing_letters():
        print(hint)
    print(f"{options.output.resolve()}: {pages} pages, {options.output.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
