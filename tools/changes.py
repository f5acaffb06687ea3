"""Run the pages as readers change them: `python tools/changes.py [PAGES]` is `make changes`.

A page invites its reader to change a number near its top. tools/changes.toml names such settings and other values; each
is put in place and the page run to its end. What fails is listed, and the exit status is then 1. Nothing is stored.
"""

import argparse
import os
import re
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path

import notebooks
from book import KEPT, NO_BARS, ONE_CORE
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode
from tqdm import tqdm

CHANGES = Path(__file__).with_suffix(".toml")


class ChangeError(ValueError):
    """A change cannot be made; the message says why."""


def changes() -> dict[str, list[dict[str, str]]]:
    """Return the changes of each page, each a mapping of settings to values, as they stand in code."""
    return tomllib.loads(CHANGES.read_text(encoding="utf-8"))


def changed(notebook: NotebookNode, settings: Mapping[str, str]) -> NotebookNode:
    """Give settings of a page other values, in place; each is a line `NAME = value` of the first cell that has it."""
    for name, value in settings.items():
        line = re.compile(rf"^{re.escape(name)} = .*$", re.M)
        cell = next((cell for cell in notebook.cells if cell.cell_type == "code" and line.search(cell.source)), None)
        if cell is None:
            raise ChangeError(f"No cell has a line that begins with `{name} = `. Correct {CHANGES.name}.")
        line_now = line.search(cell.source)[0]
        if line_now.partition(" = ")[2].partition("  #")[0] == value:
            raise ChangeError(f"`{name}` is {value} already. Name another value in {CHANGES.name}.")
        cell.source = cell.source.replace(line_now, f"{name} = {value}", 1)
    return notebook


def failure(path: Path, settings: Mapping[str, str]) -> str | None:
    """Run a page with other settings; return what failed."""
    notebook = changed(notebooks.read(path), settings)
    options = {"timeout": notebooks.CELL_TIMEOUT, "extra_arguments": ["--log-level=ERROR"]}
    resources = {"metadata": {"path": str(path.parent)}}
    client = NotebookClient(notebook, kernel_name="python3", resources=resources, **options)
    try:
        client.execute(env={**NO_BARS, **KEPT, **ONE_CORE, **os.environ})
    except CellExecutionError as error:
        return str(error)
    return None


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pages", nargs="*", help="such as 03_2_parameter_transfer; by default all that have changes")
    pages = parser.parse_args().pages
    known = changes()
    if unknown := sorted(set(pages) - set(known)):
        sys.exit(f"No changes are known of {', '.join(unknown)}. There are some of {', '.join(known)}.")
    asked = [(page, settings) for page in pages or known for settings in known[page]]
    failed = []
    for page, settings in tqdm(asked, desc="changed pages", disable=None):
        told = ", ".join(f"{name} = {value}" for name, value in settings.items())
        error = failure(notebooks.ROOT / f"chapters/{page}.ipynb", settings)
        print(f"{page}, {told}: {'failed' if error else 'ran'}", flush=True)
        if error:
            failed.append(f"{page}, {told}:\n{error}")
    sys.exit("\n\n".join(failed) or None)


if __name__ == "__main__":
    main()
