"""The chapters as the last build ran them: every cell ran without an error, and what is compared says what is stored.

The build runs each chapter once (tools/book.py); these tests read its results. They compare as nbval does: streams and
text by their kind, pictures and random ids not at all. `pytest --nbval-lax chapters/NAME.ipynb` runs a chapter anew.
The build that is tested is _build, or the one around the folder in BOOK_HTML.
"""

import functools
import os
import subprocess
import sys
from collections import defaultdict

import book
import nbformat
import notebooks
import pytest
from nbval.plugin import coalesce_streams

pytestmark = pytest.mark.site
BUILD = (book.ROOT / os.environ.get("BOOK_HTML", "_build/html")).parent
# What nbval leaves out: what names an output or its place, and what differs from run to run.
NOT_COMPARED = ("metadata", "output_type", "name", "execution_count", "image/png", "image/jpeg")
NOT_COMPARED += ("application/vnd.jupyter.widget-view+json",)
WITHOUT_DATA = "04_worked_example"  # what it compares holds with 5,000 images of MNIST, too
COMPARED = [
    pytest.param(
        path, number, id=f"{path.stem}-cell{number}", marks=[pytest.mark.data] if path.stem == WITHOUT_DATA else []
    )
    for path in notebooks.chapters()
    for number, cell in enumerate(notebooks.read(path).cells, start=1)
    if notebooks.is_compared(cell)
]


def result_of(build, path):
    """Return a chapter as a build ran it; a run of an older chapter or with older packages does not count."""
    if path in book.stale(build):
        pytest.fail(f"{path.name} has not run as it and the packages are now. Run it first: make book", pytrace=False)
    return book.executed(build, path)


result = functools.cache(functools.partial(result_of, BUILD))


def compared(outputs):
    """Return what is compared of a cell's outputs: texts by their kind, in their order."""
    found = defaultdict(list)
    for output in coalesce_streams([nbformat.from_dict(output) for output in outputs]):
        parts = {output.name: output.text} if output.output_type == "stream" else {**output, **output.get("data", {})}
        for kind, text in parts.items():
            if kind not in (*NOT_COMPARED, "data"):
                found[kind].append(text)
    return dict(found)


def check(path, notebook, number):
    """Compare one cell of a chapter's run with what its file stores."""
    stored, run = (cells[number - 1] for cells in (notebooks.read(path).cells, notebook.cells))
    assert stored.source == run.source
    assert compared(run.outputs) == compared(stored.outputs), f"{path.name}, cell {number}:\n{stored.source}"


def failures(notebook):
    """Return the cells that did not run, and those that ended in an error."""
    cells = book.code_cells(notebook)
    ended = [any(output.output_type == "error" for output in cell.outputs) for cell in cells]
    return [cell.source for cell, wrong in zip(cells, ended, strict=True) if wrong or not cell.execution_count]


@pytest.mark.data
@pytest.mark.parametrize("path", book.chapters(), ids=lambda path: path.stem)
def test_every_cell_ran_without_an_error(path):
    assert failures(result(path)) == []


@pytest.mark.parametrize(("path", "number"), COMPARED)
def test_a_compared_cell_says_what_is_stored(path, number):
    check(path, result(path), number)


# --- What these tests see ---------------------------------------------------------------------------------------------


@pytest.fixture
def page(root, tmp_path, monkeypatch):
    """Return the path of the one page of a small book that has run."""
    monkeypatch.setattr(book, "ROOT", tmp_path)
    monkeypatch.setattr(book.data, "KNOWN", {})
    for name in book.PINS:
        (tmp_path / name).write_bytes((root / name).read_bytes())
    (tmp_path / "_toc.yml").write_text("format: jb-book\nroot: page\n")
    write(tmp_path / "page.ipynb", "print(6 * 7)", "42\n")
    book.run_chapters(tmp_path / "_build")
    return tmp_path / "page.ipynb"


def write(path, source, text):
    output = nbformat.v4.new_output("stream", text=text)
    cell = nbformat.v4.new_code_cell(source, outputs=[output], execution_count=1, id="only")
    notebooks.write(nbformat.v4.new_notebook(cells=[cell], metadata={"kernelspec": notebooks.KERNELSPEC}), path)


def test_another_output_is_seen_and_a_run_of_something_older_does_not_count(page):
    build = page.parent / "_build"
    check(page, result_of(build, page), 1)
    write(page, "print(6 * 7)", "43\n")
    with pytest.raises(AssertionError, match=r"page.ipynb, cell 1:\s+print\(6 \* 7\)[\s\S]*43"):
        check(page, result_of(build, page), 1)
    write(page, "print(6 * 7 + 1)", "43\n")
    with pytest.raises(pytest.fail.Exception, match=r"page\.ipynb has not run as it and the packages are now"):
        result_of(build, page)
    book.run_chapters(build)
    check(page, result_of(build, page), 1)
    (page.parent / "tl_base").mkdir()
    (page.parent / "tl_base" / "new.py").write_text("")
    with pytest.raises(pytest.fail.Exception, match="make book"):
        result_of(build, page)
    with pytest.raises(pytest.fail.Exception, match="make book"):
        result_of(page.parent / "no build", page)


def test_a_cell_that_failed_or_did_not_run_is_seen():
    fine, late, wrong = (nbformat.v4.new_code_cell(source) for source in ("1", "2", "1 / 0"))
    fine.execution_count = wrong.execution_count = 1
    wrong.outputs = [nbformat.v4.new_output("error", ename="ZeroDivisionError", evalue="", traceback=[])]
    assert failures(nbformat.v4.new_notebook(cells=[fine, late, wrong])) == ["2", "1 / 0"]


def test_what_nbval_leaves_out_is_left_out():
    stored = [
        nbformat.v4.new_output("stream", text="one\n"),
        nbformat.v4.new_output("display_data", {"text/plain": "<Figure>", "image/png": "AAAA"}),
        nbformat.v4.new_output("stream", text="two\n"),
        nbformat.v4.new_output("execute_result", {"text/plain": "42"}, execution_count=2),
    ]
    assert compared(stored) == {"stdout": ["one\ntwo\n"], "text/plain": ["<Figure>", "42"]}
    assert compared([nbformat.v4.new_output("stream", name="stderr", text="one\n")]) == {"stderr": ["one\n"]}


def test_a_reader_can_run_a_chapter_through_nbval(root):
    command = [sys.executable, "-m", "pytest", "-q", "--nbval-lax", "chapters/how_fast.ipynb"]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:]
    assert " passed" in done.stdout
