"""The notebooks in git: what they carry, and their form. That they run is nbval's part (`make test`)."""

import re
import sys

import nbformat
import notebooks
import pytest
from sphinx_external_toc.parsing import parse_toc_yaml

CHAPTERS = notebooks.chapters()
LONGEST_CELL = 15  # lines: a longer body belongs to a package

each_chapter = pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)


def test_the_table_of_contents_lists_every_page_once(root):
    listed = [page for page in parse_toc_yaml(root / "_toc.yml") if page.startswith("chapters/")]
    pages = [*CHAPTERS, *(root / "chapters").glob("*.md")]
    assert sorted(listed) == sorted(f"chapters/{path.stem}" for path in pages)


@each_chapter
def test_carries_only_the_outputs_that_are_compared(path):
    assert notebooks.violations(path) == []


@each_chapter
def test_has_at_least_two_compared_cells(path):
    assert sum(map(notebooks.is_compared, notebooks.read(path).cells)) >= 2


@each_chapter
def test_cells_are_short(path):
    """What a reader sees is held to less: tools/lessons.py."""
    code = [cell.source for cell in notebooks.read(path).cells if cell.cell_type == "code"]
    lines = [sum(bool(line.strip()) for line in source.splitlines()) for source in code]
    assert [source for source, count in zip(code, lines, strict=True) if not 1 <= count <= LONGEST_CELL] == []


@each_chapter
def test_links_between_pages_work_in_jupyterlab_too(path):
    """A `{doc}` role is a link on the site alone; a link to the file is one in both."""
    prose = "\n".join(cell.source for cell in notebooks.read(path).cells if cell.cell_type == "markdown")
    targets = re.findall(r"\]\(([^)#:]+\.(?:ipynb|md))[)#]", prose)
    assert "{doc}" not in prose
    assert [target for target in targets if not (path.parent / target).is_file()] == []


def notebook_of(*cells):
    metadata = {"kernelspec": notebooks.KERNELSPEC, "language_info": {"name": "python"}}
    return nbformat.v4.new_notebook(cells=cells, metadata=metadata)


def code_cell(source, text=None, count=None, tags=()):
    outputs = [] if text is None else [nbformat.v4.new_output("stream", text=text)]
    return nbformat.v4.new_code_cell(source, outputs=outputs, execution_count=count, metadata={"tags": list(tags)})


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (code_cell("print(1)", tags=[notebooks.COMPARED]), "no stored output"),
        (code_cell("print(1)", "1\n", tags=[notebooks.COMPARED]), "no execution count"),
        (code_cell("print(1)", "<object at 0x7f3a5c0d1e50>", 1, [notebooks.COMPARED]), "address"),
        (code_cell("print(1)", "1\n" * 20, 1, [notebooks.COMPARED]), "longer than"),
        (code_cell("print(1)", "1\n"), "carries outputs"),
        (code_cell("print(1)", count=3), "carries outputs"),
        (nbformat.v4.new_markdown_cell("It reaches 0.985."), "has 0.985 in prose"),
        (nbformat.v4.new_markdown_cell("A cut of\n\n12.5 % fewer errors."), "has 12.5 % in prose"),
    ],
)
def test_the_check_sees_what_a_notebook_may_not_carry(cell, message, tmp_path):
    path = tmp_path / "some.ipynb"
    notebooks.write(notebook_of(cell), path)
    assert message in "\n".join(notebooks.violations(path))


def test_the_check_accepts_what_a_notebook_may_carry(tmp_path):
    path = tmp_path / "some.ipynb"
    notebooks.write(notebook_of(code_cell("1"), code_cell("print(1)", "1\n", 1, [notebooks.COMPARED])), path)
    assert notebooks.violations(path) == []


def test_the_check_sees_a_cell_id_that_is_used_twice(tmp_path):
    one, other = code_cell("1"), code_cell("2")
    path = tmp_path / "some.ipynb"
    notebooks.write(notebook_of(one, other), path)
    path.write_text(path.read_text().replace(one.id, other.id))
    assert "two cells share an id" in "\n".join(notebooks.violations(path))


def test_refresh_stores_compared_outputs_and_nothing_else(tmp_path):
    path = tmp_path / "some.ipynb"
    cells = [code_cell("value = 6 * 7"), code_cell("value", tags=[notebooks.COMPARED]), code_cell("print(value)")]
    notebooks.write(notebook_of(*cells), path)
    notebooks.refresh(path)
    plain, compared, printed = notebooks.read(path).cells
    assert (compared.outputs[0].data["text/plain"], compared.execution_count) == ("42", 2)
    assert [plain.outputs, plain.execution_count, printed.outputs, printed.execution_count] == [[], None, [], None]
    assert notebooks.violations(path) == []
    first = path.read_bytes()
    notebooks.refresh(path)
    assert path.read_bytes() == first


def test_refresh_leaves_a_notebook_whose_cell_fails(tmp_path):
    path = tmp_path / "some.ipynb"
    notebooks.write(notebook_of(code_cell("1 / 0")), path)
    before = path.read_bytes()
    with pytest.raises(notebooks.CellExecutionError, match="ZeroDivisionError"):
        notebooks.refresh(path)
    assert path.read_bytes() == before


def test_the_first_cell_comes_before_all_code_and_numbers_go_on(tmp_path):
    title, plain = nbformat.v4.new_markdown_cell("# Title"), code_cell("1")
    compared = code_cell("2", count=2, tags=[notebooks.COMPARED])
    compared.outputs = [nbformat.v4.new_output("execute_result", {"text/plain": "2"}, execution_count=2)]
    notebook = notebook_of(title, plain, compared)
    notebook.cells = list(notebook.cells)
    for _ in range(2):  # again changes nothing
        notebooks.put_first(notebook, notebooks.first_cell())
        assert [cell.id for cell in notebook.cells] == [title.id, notebooks.FIRST, plain.id, compared.id]
        assert (compared.execution_count, compared.outputs[0].execution_count) == (3, 3)


@pytest.mark.parametrize(
    ("repository", "what"),
    [("", "FOLDER_OF_THE_BOOK"), ("https://github.com/any-name/any-book", "git+https://github.com/any-name/any-book")],
)
def test_the_first_cell_is_one_line_that_says_how_to_install(root, tmp_path, monkeypatch, repository, what):
    config = (root / "_config.yml").read_text(encoding="utf-8")
    (tmp_path / "_config.yml").write_text(config.replace('repository_url: ""', f"repository_url: {repository!r}"))
    source = notebooks.first_cell(tmp_path).source
    assert source.endswith(f"%pip install {what}")
    assert "\n" not in source
    exec(source, {})  # the package is here
    monkeypatch.setitem(sys.modules, "tl_helpers", None)  # now it is missing, and Python shows the line
    with pytest.raises(ModuleNotFoundError, match="tl_helpers"):
        exec(source, {})


FOLDED = {"source_hidden": True}


@pytest.mark.parametrize(
    ("tags", "folded"),
    [
        (["hide-input"], FOLDED),
        (["remove-input"], FOLDED),
        (["remove-cell"], FOLDED),
        (["hide-cell"], {**FOLDED, "outputs_hidden": True}),
        (["hide-cell", "solution"], {**FOLDED, "outputs_hidden": True}),
        (["hide-input", notebooks.COMPARED], FOLDED),
        ([], None),
        ([notebooks.COMPARED], None),
    ],
)
@pytest.mark.parametrize("before", [None, {"outputs_hidden": True}])
def test_what_the_site_folds_is_folded_in_jupyterlab(tags, folded, before, tmp_path):
    cell = code_cell("1", "1\n", 1, tags) if notebooks.COMPARED in tags else code_cell("1", tags=tags)
    if before:
        cell.metadata["jupyter"] = before
    path = tmp_path / "some.ipynb"
    notebooks.write(notebook_of(cell), path)
    assert any("not folded as the site" in line for line in notebooks.violations(path)) == (folded != before)
    notebook = notebooks.read(path)
    notebooks.strip(notebook)
    notebooks.write(notebook, path)
    assert notebooks.violations(path) == []
    assert notebooks.read(path).cells[0].metadata.get("jupyter") == folded


ROLE = re.compile(r"\{[\w:-]+\}`")


@each_chapter
def test_no_role_stands_in_a_notebook(path):
    """JupyterLab knows no roles: it would show `{footcite}` as text."""
    prose = [cell.source for cell in notebooks.read(path).cells if cell.cell_type == "markdown"]
    assert [role for source in prose for role in ROLE.findall(re.sub(r"\$[^$]*\$", "", source))] == []
    assert [source for source in prose if "{footbibliography}" in source] == []


@each_chapter
def test_reads_no_file_beside_it(path):
    cells = [cell.source for cell in notebooks.read(path).cells if cell.cell_type == "code"]
    code = "".join(source for source in cells if not source.startswith("%%writefile"))  # that one runs elsewhere
    assert re.findall(r"\.\./|\bopen\(|\bPath\(|\bchdir\(", code) == []


def test_a_chapter_runs_in_any_folder(root, tmp_path):
    path = tmp_path / "downloads 书" / "how_fast.ipynb"
    path.parent.mkdir()
    path.write_bytes((root / "chapters/how_fast.ipynb").read_bytes())
    notebooks.refresh(path)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize(("tags", "status"), [([], None), ([notebooks.COMPARED], "some.ipynb: cell 1 is compared")])
def test_the_command_ends_with_an_error_only_if_something_is_wrong(tags, status, tmp_path, monkeypatch):
    path = tmp_path / "some.ipynb"
    notebooks.write(notebook_of(code_cell("1", tags=tags)), path)
    monkeypatch.setattr("sys.argv", ["notebooks.py", "check", str(path)])
    with pytest.raises(SystemExit) as stopped:
        notebooks.main()
    assert stopped.value.code is None if status is None else stopped.value.code.startswith(status)


def test_prose_may_quote_papers_levels_symbols_and_code(tmp_path):
    parts = "A 95 % interval.", "[A](references.md#A-2013): 28 %.", "| ε | 0.001 |", "`r=0.001`", "```\n0.985\n```"
    prose = "\n\n".join(parts)
    path = tmp_path / "some.ipynb"
    notebooks.write(notebook_of(nbformat.v4.new_markdown_cell(prose)), path)
    assert notebooks.violations(path) == []


DIRECTIVE = r":::\{figure-md\} (\S+)\n!\[([^\]]*)\]\((\S+)\)\n\n(.+)\n:::"
PLAIN = r"^!\[([^\]]*)\]\((figures/\S+)\)\n\n\*(.+)\*$"  # an image, and its caption in emphasis below
DIAGRAM = re.compile(DIRECTIVE)


def diagrams(source):
    """Return alternative text, path and caption of each diagram of a Markdown cell."""
    return [found[1:] for found in DIAGRAM.findall(source)] + re.findall(PLAIN, source, re.M)


def test_every_figure_of_the_book_has_a_name_of_its_own():
    cells = [cell for path in CHAPTERS for cell in notebooks.read(path).cells]
    names = [cell.metadata["mystnb"]["figure"]["name"] for cell in cells if "figure" in cell.metadata.get("mystnb", {})]
    names += [name for cell in cells if cell.cell_type == "markdown" for name, *_ in DIAGRAM.findall(cell.source)]
    assert len(names) > 20
    assert [name for name in set(names) if names.count(name) > 1] == []


def test_diagrams_are_files_that_can_be_read_anywhere(root):
    """A wrong path or form would show the directive's text in place of the picture."""
    cells = [cell.source for path in CHAPTERS for cell in notebooks.read(path).cells if cell.cell_type == "markdown"]
    shown = [found for source in cells for found in diagrams(source)]
    assert sum(source.count("](figures/") for source in cells) == len(shown)
    files = {root / "chapters" / path for _, path, _ in shown}
    assert files == set((root / "chapters/figures").iterdir())
    assert all(len(alt) > 50 and len(caption) > 20 for alt, _, caption in shown)
    for path in files:
        text = path.read_text(encoding="utf-8")
        width, height = re.search(r'width="(\d+)" height="(\d+)"', text).groups()  # the page keeps their place
        assert f'<rect width="{width}" height="{height}" fill="#fff"/>' in text  # legible on a dark page
        assert text.count("<text") > 10
        assert len(text) < 12_000
