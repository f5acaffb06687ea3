"""Settings that a page invites its reader to change: each is known to `make changes`, which runs the page with them."""

import changes
import nbformat
import notebooks
import pytest

KNOWN = changes.changes()
INVITES = "**Change this"
FIRST = "LABELS = 5  # or more\nOTHER = 1"


def pages_that_invite():
    return [
        path.stem
        for path in notebooks.chapters()
        if any(INVITES in cell.source for cell in notebooks.read(path).cells if cell.cell_type == "markdown")
    ]


def test_every_page_that_invites_a_change_is_run_with_one():
    assert sorted(set(pages_that_invite()) - set(KNOWN)) == []


@pytest.mark.parametrize(("page", "settings"), [(page, each) for page, all_ in KNOWN.items() for each in all_])
def test_each_change_can_be_made(page, settings):
    path = notebooks.ROOT / f"chapters/{page}.ipynb"
    before = [cell.source for cell in notebooks.read(path).cells]
    after = [cell.source for cell in changes.changed(notebooks.read(path), settings).cells]
    assert sum(old != new for old, new in zip(before, after, strict=True)) >= 1


@pytest.fixture
def page(tmp_path):
    """A page that does not survive every change."""
    cells = [nbformat.v4.new_code_cell(source) for source in (FIRST, "assert LABELS < 50")]
    metadata = {"kernelspec": notebooks.KERNELSPEC}
    notebooks.write(nbformat.v4.new_notebook(cells=cells, metadata=metadata), tmp_path / "page.ipynb")
    return tmp_path / "page.ipynb"


def test_a_setting_is_changed_where_it_stands_and_nothing_is_stored(page):
    text = page.read_text()
    made = changes.changed(notebooks.read(page), {"LABELS": "10"})
    assert made.cells[0].source == "LABELS = 10\nOTHER = 1"
    assert page.read_text() == text


@pytest.mark.parametrize(
    ("settings", "sign"),
    [
        ({"LABEL": "10"}, "No cell has a line that begins with `LABEL = `"),
        ({"OTHER": "1"}, "already"),
        ({"LABELS": "5"}, "already"),
    ],
)
def test_a_change_that_changes_nothing_is_refused(page, settings, sign):
    with pytest.raises(changes.ChangeError, match=sign):
        changes.changed(notebooks.read(page), settings)


@pytest.mark.slow
def test_what_a_change_breaks_is_told(page):
    assert changes.failure(page, {"LABELS": "10"}) is None
    assert "assert LABELS < 50" in changes.failure(page, {"LABELS": "50"})
