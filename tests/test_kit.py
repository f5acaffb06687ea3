"""What a teacher hands out: no solution is in it, and nothing that is handed in goes unread or unexplained."""

import json
import shutil
import tomllib

import kit
import marks
import nbformat
import pytest
from bs4 import BeautifulSoup
from nbclient import NotebookClient
from PIL import Image

ASKED = tomllib.loads(marks.ANSWERS.read_text(encoding="utf-8"))
RIGHT = {
    "name": "Somebody",
    "A": 3075,
    "B": {"gain": 2.8, "half width": 1.49, "holds zero": "no"},
    "C": "5",
    "D": {"difference": 5.3, "draws ahead": 5},
}
SECRET = "the_secret = 6 * 7"
PAGE = """<html><head><title>1 One — Book</title></head><body><div class="cell docutils"><div class="cell_output">
<figure><img alt="A line that rises" src="../_images/a.png"><figcaption><p><span class="caption-number">Fig. 1</span>
<span class="caption-text">Accuracy & labels.</span></p></figcaption></figure></div></div>
<div class="cell tag_hide-cell tag_solution docutils"><pre>the_secret = 6 * 7</pre></div><p>After it.</p></body>
</html>"""


@pytest.fixture
def book(tmp_path, root):
    """A book of one page with a figure, a solution and a question, as it is built."""
    (tmp_path / "_toc.yml").write_text(
        "format: jb-book\nroot: index\nparts:\n  - caption: A\n    chapters:\n      - file: chapters/01_one\n"
    )
    for folder in (
        "chapters/figures",
        "tl_helpers/assets",
        "site/chapters",
        "site/_images",
        "site/_sources",
        "homework",
    ):
        (tmp_path / folder).mkdir(parents=True)
    cells = [
        nbformat.v4.new_markdown_cell("# 1 One\n\nText."),
        nbformat.v4.new_code_cell("print(1)"),
        nbformat.v4.new_code_cell(SECRET, metadata={"tags": ["hide-cell", "solution"]}),
    ]
    for place in ("chapters/01_one.ipynb", "site/_sources/01_one.ipynb", "homework/homework.ipynb"):
        nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / place)
    (tmp_path / "chapters/notes.md").write_text("# Notes")
    (tmp_path / "chapters/figures/drawn.svg").write_text("<svg/>")
    (tmp_path / "tl_helpers/assets/quizzes.toml").write_text(
        '[["01_one"]]\nquestion = "Is 1 < 2?"\nright = 1\nchoices = [["No.", "It is not."], ["Yes.", "By counting."]]\n'
    )
    for name in ("index", "chapters/01_one"):
        (tmp_path / f"site/{name}.html").write_text(PAGE if name != "index" else "<html><title>Book</title></html>")
    Image.new("RGB", (4, 4)).save(tmp_path / "site/_images/a.png")
    return tmp_path


def made(book):
    return kit.make(book, book / "site", book / "out/kit")


def test_what_students_get_has_no_solution(book):
    place = made(book)
    files = [path for path in (place / "students").rglob("*") if path.is_file()]
    assert {path.relative_to(place / "students").as_posix() for path in files} == {
        "chapters/01_one.ipynb",
        "chapters/figures/drawn.svg",
        "chapters/notes.md",
        "homework.ipynb",
        "site/_images/a.png",
        "site/_sources/01_one.ipynb",
        "site/chapters/01_one.html",
        "site/index.html",
    }
    assert [path for path in files if b"the_secret" in path.read_bytes()] == []
    text = (place / "students/site/chapters/01_one.html").read_text()
    assert "After it." in text
    assert "print(1)" in (place / "students/chapters/01_one.ipynb").read_text()
    assert "the_secret" in (place / "teacher/solved_homework.ipynb").read_text()
    assert "the_secret" in (book / "site/chapters/01_one.html").read_text()  # the book itself is as it was


def test_every_figure_has_a_slide_that_says_what_it_shows(book):
    page = BeautifulSoup((made(book) / "teacher/slides.html").read_text(), "html.parser")
    (slide,) = page.select("section")
    assert slide.select_one("h2").get_text() == "1 One"
    assert "Accuracy & labels." in slide.get_text()
    assert "1 of 1. What it shows: A line that rises." in slide.get_text()
    assert slide.select_one("img")["src"].startswith("data:image/png;base64,")


def test_the_sheet_has_the_questions_first_and_the_answers_with_reasons_after_them(book):
    page = BeautifulSoup((made(book) / "teacher/questions.html").read_text(), "html.parser")
    asked, told = page.get_text().split("Answers")
    assert "Is 1 < 2?" in asked
    assert "By counting." not in asked
    assert "B By counting." in told


def test_a_kit_is_made_anew_as_a_whole(book):
    place = made(book)
    (place / "students/old.txt").write_text("")
    (book / "chapters/notes.md").write_text("# Other notes")
    made(book)
    assert not (place / "students/old.txt").exists()
    assert (place / "students/chapters/notes.md").read_text() == "# Other notes"
    shutil.rmtree(book / "site")
    with pytest.raises(kit.KitError, match="Build it first: make book"):
        made(book)
    assert (place / "students/chapters/notes.md").exists()  # what was there stays
    assert [path.name for path in place.parent.iterdir()] == ["kit"]


# --- The homework and its marks ---------------------------------------------------------------------------------------


def handed_in(path, printed, cell=marks.CELL):
    output = [nbformat.v4.new_output("stream", text=printed)] if printed else []
    cells = [nbformat.v4.new_code_cell("print()", id=cell, outputs=output)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)


@pytest.mark.parametrize(
    ("change", "lost", "told"),
    [
        ({}, 0, ""),
        ({"A": 5125}, 2, "A: That is a head for five classes"),
        ({"A": None}, 2, "A: Nothing was answered."),
        ({"B": {"gain": 0.028, "half width": 1.49, "holds zero": "no"}}, 3, "That is a share"),
        ({"B": {"gain": 2.8, "half width": 1.05, "holds zero": "no"}}, 3, "normal distribution"),
        ({"B": {"gain": 2.8}}, 3, "There is nothing for half width, holds zero yet"),
        ({"B": {"gain": 2.8, "half width": 1.49, "holds zero": "yes"}}, 3, "The interval runs from"),
        ({"C": "4"}, 2, "What does the choice see?"),
        ({"C": ["x"]}, 2, "none of the words"),
        ({"D": {"difference": -5.3, "draws ahead": 5}}, 4, "Turned round"),
        ({"D": {"difference": 5.3, "draws ahead": 3}}, 4, "the same draw"),
        ({"D": 5.3}, 4, "It has 2 parts"),
    ],
)
def test_answers_are_marked_and_wrong_ones_get_their_hint(change, lost, told):
    points, remarks = marks.marks_of(RIGHT | change, ASKED)
    most = sum(exercise["points"] for exercise in ASKED.values())
    assert sum(points.values()) == most - lost
    assert told in " ".join(remarks)
    assert bool(remarks) == bool(lost)


def test_the_homework_names_its_points():
    text = "".join(cell.source for cell in nbformat.read(kit.ROOT / "homework" / kit.HOMEWORK, 4).cells)
    for name, exercise in ASKED.items():
        assert f"## {name}. " in text
        assert f"({exercise['points']} points)" in text
    assert sum(exercise["points"] for exercise in ASKED.values()) == 11
    assert "Four exercises, eleven points" in text


def test_a_folder_gives_a_table_and_what_cannot_be_marked_says_why(tmp_path, monkeypatch, capsys):
    handed_in(tmp_path / "a.ipynb", json.dumps(RIGHT | {"name": "=cmd()"}))
    (tmp_path / "more").mkdir()
    handed_in(tmp_path / "more/b.ipynb", "")
    handed_in(tmp_path / "c.ipynb", "Traceback")
    handed_in(tmp_path / "d.ipynb", "[1]")
    handed_in(tmp_path / "e.ipynb", "{}", cell="other")
    (tmp_path / "f.ipynb").write_text("no notebook")
    monkeypatch.setattr("sys.argv", ["marks.py", str(tmp_path)])
    marks.main()
    head, *rows = (tmp_path / marks.MARKS).read_text().splitlines()
    assert head == "file,name,A,B,C,D,total,remarks"
    assert rows[0] == "a.ipynb,'=cmd(),2,3,2,4,11,"
    for row, sign in zip(
        rows[1:], ["something else", "something else", "no cell", "is no notebook", "not run"], strict=True
    ):
        assert sign in row
    assert "a.ipynb: 11 of 11" in capsys.readouterr().out


@pytest.mark.parametrize(("folder", "sign"), [("nowhere", "There is no folder"), ("", "There is no notebook")])
def test_a_folder_that_holds_nothing_is_explained(tmp_path, monkeypatch, folder, sign):
    monkeypatch.setattr("sys.argv", ["marks.py", str(tmp_path / folder)])
    with pytest.raises(SystemExit, match=sign):
        marks.main()


@pytest.mark.slow
def test_the_solved_homework_gets_all_points(root, tmp_path):
    notebook = nbformat.read(root / "homework" / kit.HOMEWORK, nbformat.NO_CONVERT)
    NotebookClient(notebook, kernel_name="python3", timeout=900).execute()
    nbformat.write(notebook, tmp_path / "solved.ipynb")
    points, told = marks.marks_of(marks.answers_of(tmp_path / "solved.ipynb"), ASKED)
    assert told == []
    assert points == {name: exercise["points"] for name, exercise in ASKED.items()}


def tags_of(cell):
    return cell.metadata.get("tags", [])


@pytest.mark.site
def test_the_kit_of_the_book_gives_nothing_away(root, tmp_path):
    place = kit.make(root, root / "_build/html", tmp_path / "kit")
    pages = [nbformat.read(path, nbformat.NO_CONVERT) for path in (root / "chapters").glob("*.ipynb")]
    cells = [cell for page in pages for cell in page.cells]
    shown = {line for cell in cells for line in cell.source.splitlines() if "solution" not in tags_of(cell)}
    solved = [set(cell.source.splitlines()) - shown for cell in cells if "solution" in tags_of(cell)]
    assert len(solved) > 40
    longest = [max(lines, key=len) for lines in solved]
    for path in [*(place / "students").rglob("*.ipynb"), *(place / "students/site/chapters").glob("*.html")]:
        text = path.read_text(encoding="utf-8")
        text = BeautifulSoup(text, "html.parser").get_text() if path.suffix == ".html" else text
        assert [line for line in longest if json.dumps(line)[1:-1] in text or line in text] == [], path.name
    slides = BeautifulSoup((place / "teacher/slides.html").read_text(encoding="utf-8"), "html.parser")
    assert len(slides.select("section")) > 40
