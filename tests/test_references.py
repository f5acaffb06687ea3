"""The page of references: what it says of each work, how pages lead there, and that nothing on it is out of date."""

import re

import notebooks
import pytest
import references
from pybtex.database import parse_string

from tl_experiments import claims

LINK = re.compile(r"\[([^\]]+)\]\((?:chapters/)?references\.md#([^)\s]*)\)")
BIB = r"""
@article{one1999, author = {van der One, Ann}, title = {A {B}ig title}, journal = {Some_Journal}, year = {1999},
  note = {Reprinted in https://example.org/a_b.}}
@article{pair2001, author = {One, Ann and Tw{\'o}, Bob}, title = {T}, journal = {J}, year = {2001}}
@book{many2002, editor = {One, Ann and Two, Bob and Three, Cy}, title = {T}, publisher = {P}, year = {2002},
  url = {https://example.org/x_y}}
@misc{others2003, author = {One, Ann and others}, title = {T}, year = {2003}, eprint = {1234.5678},
  archiveprefix = {arXiv}}
@misc{b2003, author = {One, Ann and Two, Bob and Three, Cy}, title = {U}, year = {2003}, doi = {10.1/2_3}}
"""


def markdown_of(root):
    """Return the Markdown of every page, by its name."""
    files = [root / "index.md", *(root / "chapters").glob("*.md")]
    texts = {path.name: path.read_text(encoding="utf-8") for path in files}
    for path in notebooks.chapters():
        cells = notebooks.read(path).cells
        texts[path.name] = "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    return {name: text for name, text in texts.items() if name != "references.md"}


def anchors(root):
    """Return the anchor of each work by its key."""
    return {key: references.anchor(name) for key, name in references.headings(references.works(root)).items()}


def test_the_page_says_what_the_bibliography_says(root):
    assert (root / references.PAGE).read_text(encoding="utf-8") == references.text(root)


def test_every_citation_leads_to_a_work(root):
    links = [(name, *link) for name, text in markdown_of(root).items() for link in LINK.findall(text)]
    assert len(links) > 90
    assert [link for link in links if link[2] not in anchors(root).values()] == []


def test_no_link_to_the_page_names_no_work(root):
    for name, text in markdown_of(root).items():
        assert text.count("references.md") == len(LINK.findall(text)), name


def test_a_citation_names_who_wrote_the_work_and_when(root):
    """The link itself has the first author's name; the year stands there, or shortly before."""
    for page, text in markdown_of(root).items():
        for found in LINK.finditer(text):
            name, year = re.match(r"(.+?)-(?:et-al|and-|\d{4}).*?(\d{4})?[a-z]?$", found[2]).groups()
            year = year or found[2][-4:]
            assert name.replace("-", " ") in found[1].replace("-", " "), (page, found[0])
            assert year in text[max(0, found.start() - 40) : found.end(1)], (page, found[0])


def test_every_work_is_cited(root):
    """On a page, or by a hypothesis, which has its row in a table."""
    cited = {anchor for text in markdown_of(root).values() for _, anchor in LINK.findall(text)}
    tested = {claim.paper for claim in claims.load()}
    assert [key for key, anchor in anchors(root).items() if anchor not in cited and key not in tested] == []


def test_works_are_named_by_authors_and_year():
    named = references.headings(parse_string(BIB, "bibtex"))
    assert named == {
        "pair2001": "One and Twó 2001",
        "many2002": "One et al. 2002",
        "b2003": "One et al. 2003a",
        "others2003": "One et al. 2003b",
        "one1999": "van der One 1999",
    }
    assert [*named] == ["pair2001", "many2002", "b2003", "others2003", "one1999"]
    assert references.anchor(named["many2002"]) == "One-et-al.-2002"


@pytest.mark.parametrize(
    "part",
    [
        "\n## van der One 1999\n\nAnn van der One. A Big title. *Some\\_Journal*, 1999. ",
        "Reprinted in <https://example.org/a_b>.\n",
        "<https://example.org/x_y>.\n",
        "[arXiv:1234.5678](https://arxiv.org/abs/1234.5678).\n",
        "[doi:10.1/2\\_3](https://doi.org/10.1/2_3).\n",
    ],
)
def test_an_entry_is_plain_markdown_with_its_addresses_as_links(tmp_path, part):
    (tmp_path / "references.bib").write_text(BIB)
    assert part in references.text(tmp_path)


@pytest.mark.parametrize("there", [True, False])
def test_the_command_says_what_is_out_of_date(root, tmp_path, monkeypatch, there):
    monkeypatch.setattr(references, "ROOT", tmp_path)
    (tmp_path / "chapters").mkdir()
    (tmp_path / "references.bib").write_text(BIB)
    monkeypatch.setattr("sys.argv", ["references.py"])
    references.main()
    (tmp_path / "references.bib").write_text(BIB if there else BIB.replace("1999", "1998"))
    monkeypatch.setattr("sys.argv", ["references.py", "check"])
    if there:
        references.main()
    else:
        with pytest.raises(SystemExit, match=r"does not say what references\.bib says"):
            references.main()


def test_headings_of_pages_are_found_by_the_name_that_jupyterlab_gives_them(root):
    """A link to a heading, on the same page or another, is written as JupyterLab reads it."""
    texts = markdown_of(root)
    texts["references.md"] = (root / references.PAGE).read_text(encoding="utf-8")
    links = [
        (name, target or name, anchor)
        for name, text in texts.items()
        for target, anchor in re.findall(r"\]\((?:chapters/)?([\w.]*)#([^)\s]+)\)", text)
    ]
    known = {
        name: {references.anchor(heading) for heading in re.findall(r"^#+ (.+?)\s*$", text, re.M)}
        for name, text in texts.items()
    }
    assert len(links) > 90
    assert [link for link in links if link[2] not in known[link[1]]] == []
