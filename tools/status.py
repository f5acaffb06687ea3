"""The directive `{status} PART` of the page "Status": tables about the build that shows them, none of it typed.

The parts: `build`, `runs` (seconds of each chapter, from the cache of executed chapters), `packages`, `data`,
`networks` and `records` (from the cards in tl_helpers/assets). Text goes into the page as text: markup has no effect.
"""

import json
import os
import platform
import re
import subprocess
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import nbformat
from docutils import nodes
from jupyter_cache import get_cache
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.docutils import SphinxDirective

from tl_helpers import data

PIN = re.compile(r"^([\w.-]+)==(\S+)", re.M)
UNKNOWN = "unknown"


def git(folder: Path, *arguments: str) -> str | None:
    """Return what a git command prints, None where there is no git or the folder is no checkout of its own."""
    try:
        done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def commit_of(folder: Path) -> str:
    """Say from which commit the book in a folder is built."""
    if not (folder / ".git").exists() or (commit := git(folder, "rev-parse", "HEAD")) is None:
        return f"{UNKNOWN}: this copy of the book has no git history"
    changed = git(folder, "status", "--porcelain", "--untracked-files=no")
    return f"{commit}, with changes that are not committed" if changed else commit


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> nodes.table:
    """Return a table; a cell is a text or an inline node."""
    group = nodes.tgroup("", *[nodes.colspec(colwidth=1) for _ in head], cols=len(head))
    group += nodes.thead("", row_of(head))
    group += nodes.tbody("", *map(row_of, rows))
    return nodes.table("", group, classes=["status"])


def row_of(cells: Sequence[object]) -> nodes.row:
    """Return one row of a table."""
    inline = [cell if isinstance(cell, nodes.Node) else as_it_is(cell) for cell in cells]
    return nodes.row("", *[nodes.entry("", nodes.paragraph("", "", cell)) for cell in inline])


def as_it_is(value: object) -> nodes.Text:
    """Return a text whose quotation marks stay straight."""
    text = nodes.Text(str(value))
    text.support_smartquotes = False
    return text


def link_to(page: str) -> addnodes.pending_xref:
    """Return a link to a page of the book, with the page's title."""
    target = {"refdomain": "std", "reftype": "doc", "reftarget": f"/{page}", "refexplicit": False, "refwarn": True}
    return addnodes.pending_xref("", nodes.inline(), **target)


def build(env: BuildEnvironment) -> nodes.table:
    """Say when, where and from what the site was built."""
    rows = [
        ("date", f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"),
        ("commit", commit_of(Path(env.srcdir))),
        ("Python", platform.python_version()),
        ("system", f"{platform.system()}, {platform.machine()}, {os.cpu_count()} processor cores"),
    ]
    return table(("build", ""), rows)


def runs(env: BuildEnvironment) -> nodes.table:
    """List the seconds that each chapter took when it last ran."""
    cache, rows = get_cache(Path(env.app.outdir).parent / ".jupyter_cache"), []
    for page in env.config.external_site_map:
        path = Path(env.doc2path(page))
        if path.suffix == ".ipynb":
            try:
                found = cache.match_cache_notebook(nbformat.read(path, nbformat.NO_CONVERT))
                rows.append((page, found.data["execution_seconds"], f"{found.created:%Y-%m-%d %H:%M} UTC"))
            except KeyError:
                rows.append((page, None, "not run for this build"))
    total = sum(seconds or 0 for _, seconds, _ in rows)
    lines = [(link_to(page), "" if took is None else f"{took:.1f}", when) for page, took, when in rows]
    return table(("chapter", "seconds", "last run"), [*lines, ("together", f"{total:.1f}", "")])


def packages(env: BuildEnvironment) -> nodes.table:
    """List the pinned packages with the versions that built the site."""
    pins = PIN.findall((Path(env.srcdir) / "requirements.txt").read_text(encoding="utf-8"))
    return table(("package", "pinned", "installed"), [(name, pin, installed(name)) for name, pin in pins])


def installed(name: str) -> str:
    """Return the version of a package that is installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "not installed"


def data_sets(env: BuildEnvironment) -> nodes.table:
    """List the data sets: what they are, where Keras fetches them, the fingerprint that the records were made with."""
    prints = card(env, "records").get("data", {})
    about = {name: (known.about, known.url) for name, known in data.KNOWN.items()}
    about["trashnet"] = (
        "TrashNet, 2,527 photographs of rubbish (Thung and Yang 2016); 180 of them come with the book",
        "https://github.com/garythung/trashnet",
    )
    about["digits"] = ("1,797 handwritten digits (Alpaydin and Kaynak 1998)", "part of scikit-learn")
    rows = [(name, *about[name], nodes.literal("", prints.get(name, UNKNOWN))) for name in about]
    return table(("name", "what", "from", "SHA-256 of images and labels behind the records"), rows)


def networks(env: BuildEnvironment) -> nodes.table:
    """List the source networks that come with the book, from their model cards."""
    rows = []
    for path in sorted(assets(env).glob("source_*.json")):
        told = card(env, path.stem)
        rows.append(
            (path.stem.removeprefix("source_"), *[told.get(key, UNKNOWN) for key in ("what", "command", "date")])
        )
    return table(("name", "what", "made by", "on"), rows)


def records(env: BuildEnvironment) -> nodes.table:
    """Sum up the records of runs, from their card."""
    told = card(env, "records")
    keys = ("runs", "hours", "dates", "machines", "command", "versions")
    return table(("recorded runs", ""), [(key, in_words(told.get(key, UNKNOWN))) for key in keys])


def in_words(value: Any) -> Any:
    """Return a value of a card as a reader would write it."""
    if isinstance(value, dict):
        return ", ".join(f"{key} {part}" for key, part in value.items())
    return ", ".join(dict.fromkeys(map(str, value))) if isinstance(value, list) else value


def assets(env: BuildEnvironment) -> Path:
    """Return the folder of the cards."""
    return Path(env.srcdir) / "tl_helpers" / "assets"


def card(env: BuildEnvironment, name: str) -> dict[str, Any]:
    """Read a card; one that is missing is empty."""
    path = assets(env) / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


PARTS = {
    "build": build,
    "runs": runs,
    "packages": packages,
    "data": data_sets,
    "networks": networks,
    "records": records,
}


class Status(SphinxDirective):
    """Show one part; the page is read anew in every build."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return the table."""
        name = self.arguments[0]
        if name not in PARTS:
            raise self.error(f"There is no part {name!r} of the status; there are {', '.join(PARTS)}.")
        self.env.note_reread()
        return [PARTS[name](self.env)]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive with Sphinx."""
    app.add_directive("status", Status)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
