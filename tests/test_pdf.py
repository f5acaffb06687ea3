"""tools/pdf.py on a small site: order, outline, page numbers, links, what is left out."""

import pdf
import pytest
from pypdf import PdfReader

PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>{title} — A book</title>
<link rel="stylesheet" href="book.css">
<main class="bd-content"><article>
<section id="top"><h1>{title}<a class="headerlink" href="#top">#</a></h1>{body}</section></article></main></html>"""
FIRST = """<p>Some prose. <a id="away" href="second.html#far%20down">Further down</a>
<a href="https://example.org/">elsewhere</a> <a href="first.ipynb">the notebook</a></p>
<details class="hide"><summary>Show</summary>FOLDED</details>
<div class="tag_solution"><details class="hide"><summary>Show</summary>SOLUTION</details></div>
<button class="copybtn">BUTTON</button>"""
SECOND = '<div style="break-after: page">One sheet.</div><h2 id="far down">Far &amp; down</h2>'


@pytest.fixture(scope="module")
def folder(root, tmp_path_factory):
    folder = tmp_path_factory.mktemp("a book with 空格")
    (folder / "first.html").write_text(PAGE.format(title="First &lt;page&gt;", body=FIRST), encoding="utf-8")
    (folder / "second.html").write_text(PAGE.format(title="Second", body=SECOND), encoding="utf-8")
    (folder / "book.css").write_text((root / "static/book.css").read_text(encoding="utf-8"), encoding="utf-8")
    (folder / "_toc.yml").write_text("format: jb-book\nroot: first\nchapters:\n  - file: second\n")
    (folder / "_config.yml").write_text("title: A book\nauthor: Somebody\n")
    return folder


@pytest.fixture(scope="module")
def printed(folder):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pdf, "ROOT", folder)
        assert pdf.print_book(folder, folder / "book.pdf") == 4
    return PdfReader(folder / "book.pdf")


def links(page):
    return [note.get_object() for note in page.get("/Annots", ())]


def test_pages_come_in_reading_order_with_numbers_and_an_outline(printed):
    front, first, second, third = [page.extract_text() for page in printed.pages]
    assert "A book" in front
    assert "Somebody" in front
    assert "Second2" in "".join(front.split())
    assert "Some prose." in first
    assert first.rstrip().endswith("1")
    assert "One sheet." in second
    assert "Far & down" in third
    assert third.rstrip().endswith("3")
    assert printed.page_labels == ["i", "1", "2", "3"]
    first, second, (below,) = printed.outline
    found = [(entry.title, printed.get_destination_page_number(entry)) for entry in (first, second, below)]
    assert found == [("First <page>", 1), ("Second", 2), ("Far & down", 3)]
    assert (printed.metadata.title, printed.metadata.author) == ("A book", "Somebody")


def test_solutions_are_printed_and_buttons_are_not(printed):
    text = printed.pages[1].extract_text()
    assert "SOLUTION" in text
    assert [word for word in ("FOLDED", "BUTTON", "Show") if word in text] == []


def test_links_lead_to_places_inside_and_no_address_of_this_machine_is_left(printed, folder):
    inside, outside = links(printed.pages[1])
    assert inside["/Dest"][0] == printed.pages[3].indirect_reference
    assert outside["/A"]["/URI"] == "https://example.org/"
    assert [note["/Dest"][0] for note in links(printed.pages[0])] == [
        printed.pages[1].indirect_reference,
        printed.pages[2].indirect_reference,
    ]
    assert b"file://" not in (folder / "book.pdf").read_bytes()


def test_a_page_that_is_not_built_is_named(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(pdf, "ROOT", folder)
    with pytest.raises(pdf.PrintError, match=r"not built in .*: first, second. Build them first: make book"):
        pdf.print_book(tmp_path, tmp_path / "book.pdf")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("listed", "told"), [("", True), ("/fonts/wqy.ttc: WenQuanYi", False)])
def test_a_machine_without_chinese_letters_says_so(tmp_path, monkeypatch, listed, told):
    tool = tmp_path / "fc-list"
    tool.write_text(f'#!/bin/sh\necho "{listed}"\n')
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert ("apt install" in pdf.missing_letters()) == told
