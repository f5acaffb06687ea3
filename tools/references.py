"""Write the page of references, chapters/references.md, from references.bib.

    python tools/references.py          write the page
    python tools/references.py check    exit status 1 if the page is not what would be written

Each work has a heading, such as "Yosinski et al. 2014". A page cites it by a Markdown link to that heading, which works
on the site and in JupyterLab alike: `[Yosinski et al. (2014)](references.md#Yosinski-et-al.-2014)`.
"""

import argparse
import re
import sys
from collections import Counter
from pathlib import Path
from string import ascii_lowercase

from pybtex.backends.markdown import Backend
from pybtex.database import BibliographyData, Entry, Person, parse_file
from pybtex.richtext import Text
from pybtex.style.formatting.plain import Style

from tl_base import files

ROOT = Path(__file__).resolve().parent.parent
PAGE = "chapters/references.md"
HEAD = "# References\n\nThe works that the pages of this book cite, by author and year.\n"
MARKUP = re.compile(r"[\\`*_\[\]<>]")  # what has a meaning in the middle of a line of Markdown
LINKED = re.compile(r"URL: \[\S+\]\((\S+)\)")
NAKED = re.compile(r"(?<![\[(<])https://\S+\w")  # an address that is no link yet


class Markdown(Backend):
    """Markdown as somebody would write it: nothing is escaped that needs no escape, and an address is a link."""

    def format_str(self, text: str) -> str:
        """Return plain text as Markdown."""
        parts = re.split(r"(https://\S+)", text)  # every second one is an address
        return "".join(part if i % 2 else MARKUP.sub(r"\\\g<0>", part) for i, part in enumerate(parts))


def anchor(heading: str) -> str:
    """Return the name by which JupyterLab finds a heading; _config.yml makes it the name on the site too."""
    return heading.replace(" ", "-")


def family_name(person: Person) -> str:
    """Return the family name of an author, with what stands before it."""
    return str(Text.from_latex(" ".join(person.prelast_names + person.last_names)))


def short_name(entry: Entry) -> str:
    """Return who wrote a work and when, such as "Pan and Yang 2010"."""
    names = [family_name(person) for person in entry.persons.get("author") or entry.persons["editor"]]
    if len(names) == 2 and names[1] != "others":
        return f"{names[0]} and {names[1]} {entry.fields['year']}"
    return f"{names[0]}{' et al.' if len(names) > 1 else ''} {entry.fields['year']}"


def headings(bibliography: BibliographyData) -> dict[str, str]:
    """Return the heading of each work by its key, in the order of the page: a letter tells apart what would agree."""
    names = {key: short_name(entry) for key, entry in bibliography.entries.items()}
    seen: Counter[str] = Counter()
    found = {}
    for key in sorted(names, key=lambda key: (names[key].lower(), key)):
        name = names[key]
        shared = [*names.values()].count(name) > 1
        found[key] = name + (ascii_lowercase[seen[name]] if shared else "")
        seen[name] += 1
    return found


def in_markdown(told: str) -> str:
    """Return an entry as one line, each address as a link."""
    return NAKED.sub(r"<\g<0>>", LINKED.sub(r"<\1>", " ".join(told.split())))


def works(root: Path) -> BibliographyData:
    """Return the works in references.bib."""
    return parse_file(str(root / "references.bib"))


def text(root: Path) -> str:
    """Return the page of references."""
    named = headings(works(root))
    backend = Markdown()
    entries = Style().format_bibliography(works(root))
    told = {entry.key: in_markdown(entry.text.render(backend)) for entry in entries}
    return HEAD + "".join(f"\n## {heading}\n\n{told[key]}\n" for key, heading in named.items())


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", nargs="?", default="write", choices=("write", "check"))
    if parser.parse_args().command == "write":
        files.write(ROOT / PAGE, text(ROOT))
    elif (ROOT / PAGE).read_text(encoding="utf-8") != text(ROOT):
        sys.exit(f"{PAGE} does not say what references.bib says: run `python tools/references.py`.")


if __name__ == "__main__":
    main()
