"""The pages beside the chapters (for learners, for teachers, glossary, notation): what they say of chapters holds."""

import re
import sys
import types

import notebooks
import numpy as np
import pytest
from sphinx_external_toc.parsing import parse_toc_yaml

from tl_helpers import data

CHAPTERS = notebooks.chapters()
PAGES = ("for_learners", "for_teachers", "notation", "glossary")
EXERCISE = re.compile(r"^\*\*Exercise ([\d.-]+)\*\* \(([^);]+)", re.M)
NUMBER = r"\d-\d|\d(?:\.\d){1,2}"
LISTED = re.compile(rf"(?:[Ee]xercises?|To assign afterwards:) ((?:(?:{NUMBER})(?:, | and )?)+)")
FENCED = re.compile(r"```.*?```", re.S)
FORMULA = re.compile(r"\$\$(.+?)\$\$|\$([^$]+)\$", re.S)
CHINESE = re.compile(r"[\u4e00-\u9fff]")
TITLE = re.compile(r"# ((\d(?:\.\d)?) )?(.+)")  # of a page: its number, if it has one, and its name
# Of this book; a chapter of a cited one follows the year of its citation.
MENTION = re.compile(r"(?<!\d\), )\b[Cc]hapters?\s+((?:\d+(?:\.\d+)*(?: \([^)]*\))?(?:, | and | to )?)+)")
NUMBERED = re.compile(r"(\d+(?:\.\d+)*)(?: \(([^)]*)\))?")


def page(name):
    return (notebooks.ROOT / "chapters" / f"{name}.md").read_text(encoding="utf-8")


def rows(text, start):
    """Return the cells of the table rows that start with a pattern; a \\| inside a cell does not end it."""
    lines = re.findall(rf"^\| {start}.*\|$", text, re.M)
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def prose(path):
    return "\n\n".join(cell.source for cell in notebooks.read(path).cells if cell.cell_type == "markdown")


def exercises():
    """Return the level of each exercise of the chapters by its number."""
    return dict(found for path in CHAPTERS for found in EXERCISE.findall(prose(path)))


# Names of chapters


def titles():
    """Return the title of each chapter by its number: \"3.1\" to \"Feature extraction\"."""
    heads = {path: TITLE.match(notebooks.read(path).cells[0].source) for path in CHAPTERS}
    return {found.group(2): found.group(3).strip() for found in heads.values() if found.group(2)}


def wrongly_named(text, known):
    """List the mentions of a chapter that no page carries: an unknown number, or another name behind it."""
    joined = re.sub(r"\s*\n[ #]*", " ", text)
    found = [pair for mention in MENTION.findall(joined) for pair in NUMBERED.findall(mention)]
    return [
        f"{number} ({name})"
        for number, name in found
        if number not in known or (name and not known[number].casefold().startswith(name.casefold()))
    ]


def test_a_chapters_title_begins_with_the_number_of_its_file():
    for path in CHAPTERS:
        number = ".".join(part.lstrip("0") for part in re.findall(r"\d+(?=_)", path.stem))
        assert (TITLE.match(notebooks.read(path).cells[0].source).group(2) or "") == number, path.name
        assert all(re.match(rf"{number}[.-]\d+$", own) for own, _ in EXERCISE.findall(prose(path))), path.name


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("Chapter 1 shows it, as chapters 2 and\n    3.1 (Feature extraction) do.", []),
        ("Efron and Tibshirani (1993), chapter 13. Taught in: chapter 2 (Core).", []),
        ("See chapter 9.", ["9 ()"]),
        ("Taught in: chapters 1 (Background)\n    and 3.4 (Rules).", ["3.4 (Rules)"]),
        ("Taught in: chapter\n    2 (Feature extraction).", ["2 (Feature extraction)"]),
    ],
)
def test_a_chapter_that_no_page_is_called_is_found(text, wrong):
    assert wrongly_named(text, {"1": "Background", "2": "Core concepts", "3.1": "Feature extraction"}) == wrong


def test_every_chapter_that_is_named_is_called_so_on_its_page(root):
    packages = [path for name in ("tl_base", "tl_helpers", "tl_experiments") for path in (root / name).rglob("*")]
    places = [*(root / "chapters").glob("*.md"), *root.glob("*.md"), *packages]
    texts = {path: path.read_text(encoding="utf-8") for path in places if path.suffix in (".md", ".py", ".toml", ".js")}
    texts |= {path: "\n\n".join(cell.source for cell in notebooks.read(path).cells) for path in CHAPTERS}
    known = titles()
    assert sum(len(MENTION.findall(re.sub(r"\s*\n[ #]*", " ", text))) for text in texts.values()) > 100
    assert {path.name: found for path, text in texts.items() if (found := wrongly_named(text, known))} == {}


def test_a_section_that_a_chapter_names_is_a_heading_of_its_own_page():
    for path in CHAPTERS:
        text = "\n\n".join(cell.source for cell in notebooks.read(path).cells)
        named = re.findall(r"(?<!\d\), )\b[Ss]ections? (\d[\d.]*)(?: (?:to|and) (\d[\d.]*))?", text)
        headings = set(re.findall(r"^#{2,3} (\d+)\. ", text, re.M))
        assert {number.rstrip(".") for pair in named for number in pair if number} <= headings, path.name


def test_a_link_that_gives_a_chapters_title_gives_its_number_too():
    names = titles()
    links = [
        (path.name, text) for path in CHAPTERS for text in re.findall(r"\[([^\]]+)\]\(\d\w+\.ipynb\)", prose(path))
    ]
    assert sum(text in {f"{number} {name}" for number, name in names.items()} for _, text in links) > 20
    assert [link for link in links if link[1] in names.values()] == []


def test_the_pages_link_as_chapters_do_and_name_a_chapter_as_it_is_named_now():
    """JupyterLab shows a role as text. The glossary alone has roles: its terms need Sphinx."""
    names = titles()
    for name in ("for_learners", "for_teachers", "notation"):
        assert re.findall(r"\{[\w:-]+\}`", page(name)) == []
        links = re.findall(r"\[(\d[^\]]*)\]\((\w+)\.ipynb\)", page(name))
        assert len(links) > 10
        for text, stem in links:
            number = ".".join(str(int(part)) for part in re.match(r"\d+(?:_\d+)*(?=_)", stem)[0].split("_"))
            assert text in (number, f"{number} {names[number]}"), (name, text, stem)


# For learners


def reading_minutes(path):
    """Count as the page says: 200 words a minute, a minute a formula, 5 s a visible line of code, 20 s a figure."""
    cells, text = notebooks.read(path).cells, prose(path)
    seen = [
        c
        for c in cells
        if c.cell_type == "code" and not {"hide-input", "remove-cell", "solution"} & set(c.metadata.get("tags", []))
    ]
    lines = sum(bool(line.strip()) for cell in seen for line in cell.source.splitlines())
    figures = sum("figure" in cell.metadata.get("mystnb", {}) for cell in cells) + text.count("](figures/")
    formulas = re.findall(r"\$\$.+?\$\$", text, re.S)
    words = re.findall(r"\S*\w\S*", re.sub(r"\$\$.+?\$\$", "", text, flags=re.S))
    return len(words) / 200 + len(formulas) + lines / 12 + figures / 3


def times():
    found = rows(page("for_learners"), r"\[")
    return {re.search(r"\((\w+)\.ipynb\)", name).group(1): (reading, running) for name, reading, running, _ in found}


def test_the_learners_table_lists_every_chapter_in_order(root):
    listed = [name.removeprefix("chapters/") for name in parse_toc_yaml(root / "_toc.yml")]
    assert list(times()) == [name for name in listed if name in {path.stem for path in CHAPTERS}]


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_reading_times_follow_the_rule_on_the_page(path):
    reading, running = times()[path.stem]
    assert re.fullmatch(r"\d+ s", running)
    assert abs(int(reading.removesuffix(" min")) - reading_minutes(path)) <= 5


# For teachers


def test_the_teachers_table_lists_every_exercise_with_its_level():
    found = rows(page("for_teachers"), rf"(?:{NUMBER}) \|")
    assert {number: level for number, level, *_ in found} == exercises()


def test_every_exercise_that_a_page_names_exists():
    named = {number for name in PAGES for found in LISTED.findall(page(name)) for number in re.findall(NUMBER, found)}
    assert len(named) > 15
    assert named - set(exercises()) == set()


def test_every_section_that_a_course_plan_names_is_on_that_page():
    missing = []
    for _, where, sections, _ in rows(page("for_teachers"), r"\d+–\d+"):
        if chapter := re.search(r"\((\w+)\.ipynb\)", where):
            text = FENCED.sub("", prose(notebooks.ROOT / "chapters" / f"{chapter.group(1)}.ipynb"))
            headings = re.findall(r"^#+ (.+)$", text, re.M)
            named = re.findall("“([^”]+)”", sections)
            assert named
            missing += [(chapter.group(1), section) for section in named if section not in headings]
    assert missing == []


def test_the_blocks_of_each_course_follow_one_another():
    ends = []
    for plan in re.split(r"^## ", page("for_teachers"), flags=re.M):
        blocks = [[int(minute) for minute in row[0].split("–")] for row in rows(plan, r"\d+–\d+")]
        if blocks:
            assert [start for start, _ in blocks] == [0, *(end for _, end in blocks[:-1])]
            ends.append(blocks[-1][1])
    assert ends == [120, 360, 120]


def test_the_files_that_the_teachers_code_writes_can_be_loaded(tmp_path, monkeypatch):
    def keras_set(shape):
        images, labels = np.full((20, *shape), 7, np.uint8), np.arange(20)[:, None] % 10
        return types.SimpleNamespace(load_data=lambda: ((images, labels), (images, labels)))

    sets = types.SimpleNamespace(mnist=keras_set((28, 28)), cifar10=keras_set((32, 32, 3)))
    monkeypatch.setitem(sys.modules, "keras", types.SimpleNamespace(datasets=sets))
    monkeypatch.setitem(sys.modules, "keras.datasets", sets)
    monkeypatch.chdir(tmp_path)
    exec(re.search(r"```python\n(.+?)```", page("for_teachers"), re.S).group(1), {})
    monkeypatch.setenv("TL_DATA_DIR", str(tmp_path))
    assert [len(data.load(name)) for name in data.KNOWN] == [40, 40]


# Glossary


def entries():
    """Return the terms of each entry of the glossary, and its definition."""
    body = re.search(r"```\{glossary\}\n(.+?)\n```", page("glossary"), re.S).group(1)
    blocks = [block.splitlines() for block in body.split("\n\n")]
    return [
        ([line for line in block if line[0] != " "], [line for line in block if line[0] == " "]) for block in blocks
    ]


def test_the_glossary_gives_each_term_in_both_languages_with_its_chapter():
    found = entries()
    assert len(found) >= 30
    stems = {path.stem for path in CHAPTERS}
    for terms, definition in found:
        assert [bool(CHINESE.search(term)) for term in terms] == [False, True], terms
        assert re.search(r"Taught in \{doc\}`(\w+)`\.$", definition[-1]).group(1) in stems, terms


def test_the_glossary_is_in_alphabetical_order():
    english = [terms[0].casefold() for terms, _ in entries()]
    assert english == sorted(english)


def test_every_term_that_is_linked_is_in_the_glossary(root):
    texts = [path.read_text(encoding="utf-8") for path in (root / "chapters").iterdir() if path.is_file()]
    links = re.findall(r"\{term\}`(?:[^`<]*<)?([^`>]+)>?`", "\n".join([(root / "index.md").read_text(), *texts]))
    assert len(links) > 10
    assert set(links) - {term for terms, _ in entries() for term in terms} == set()


# Notation


def plain(formula):
    return re.sub(r"\s|\\,", "", formula)


def formulas(text):
    return "\n".join(plain(shown or inline) for shown, inline in FORMULA.findall(FENCED.sub("", text)))


def test_every_symbol_of_the_notation_is_used_on_the_pages_that_its_row_names():
    missing, found = [], rows(page("notation"), r"\$")
    assert len(found) > 40
    for symbols, _, _, where, _ in found:
        for chapter in re.findall(r"\[[\d.]+\]\((\w+)\.ipynb\)", where):
            used = formulas(prose(notebooks.ROOT / "chapters" / f"{chapter}.ipynb"))
            for symbol in FORMULA.findall(symbols):
                letters = plain(symbol[1])
                before = r"(?<![A-Za-z\\])" if letters[0].isalpha() else ""
                if not re.search(rf"{before}{re.escape(letters)}(?![A-Za-z])", used):
                    missing.append((chapter, symbol[1]))
    assert missing == []


def test_every_call_that_a_page_names_is_in_the_package(root):
    unknown = []
    for name in PAGES:
        for module, called in re.findall(r"`(\w+)\.(\w+)", page(name)):
            source = root / "tl_helpers" / f"{module}.py"
            here = (
                rf'^(?:def|class) {called}\b|^__all__ .*"{called}"|import {called} as {called}$'  # some are passed on
            )
            if source.is_file() and not re.search(here, source.read_text(encoding="utf-8"), re.M):
                unknown.append(f"{module}.{called}")
    assert unknown == []
