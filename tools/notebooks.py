"""Keep the notebooks in git small and honest: no outputs but those that the tests compare.

    python tools/notebooks.py refresh [FILES]   run each notebook, store the outputs of its compared cells
    python tools/notebooks.py strip [FILES]     the same without running: keep the stored outputs of compared cells
    python tools/notebooks.py check [FILES]     list what is wrong; exit status 1 if anything is

A compared cell carries the tag `nbval-check-output`; nbval runs the notebook and compares that cell's output with the
stored one. `refresh` and `strip` also give each chapter its first code cell, which is the same in all: where tl_helpers
is missing, it says how to install it. They fold in JupyterLab what the tags of a cell fold on the site. Without FILES:
all chapters.
"""

import argparse
import json
import os
import re
import sys
import time
from pathlib import Path

import lessons
import nbformat
import yaml
from book import KEPT, NO_BARS
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode

from tl_base import files

ROOT = Path(__file__).resolve().parent.parent
COMPARED = "nbval-check-output"
KERNELSPEC = {"display_name": "Python 3", "language": "python", "name": "python3"}
CELL_TIMEOUT = 600  # seconds
LONGEST_OUTPUT = 15  # lines; nobody compares more by eye
# A share or a number with three decimals in prose, which code should have put there; and what may stand there: the
# level of an interval, what a cited paper says, a table of symbols, code.
TYPED = re.compile(r"\d+(?:\.\d+)?\s*(?:%|per cent)|\b\d\.\d{3,}\b")
QUOTED = re.compile(r"95 % intervals?|at 95 %|^\|.*$|`[^`]*`|^[^\n]*\(references\.md#[^\n]*$", re.M)
FENCED = re.compile(r"```.*?```|\$\$.*?\$\$", re.S)
FIRST = "first-cell"  # the id of the first code cell
FIRST_SOURCE = "import tl_helpers  # the book's package; if missing: %pip install {}"
HIDDEN = {  # what JupyterLab is told to fold, so that it folds what the site folds
    "hide-input": {"source_hidden": True},
    "remove-input": {"source_hidden": True},
    "remove-cell": {"source_hidden": True},
    "hide-cell": {"source_hidden": True, "outputs_hidden": True},
}
ADDRESS = re.compile(r"\b0x[0-9a-f]{6,}\b")


def chapters() -> list[Path]:
    """Return the notebooks of the book."""
    return sorted((ROOT / "chapters").glob("*.ipynb"))


def is_chapter(path: Path) -> bool:
    """Tell whether a file is a chapter of the book."""
    return path.parent == ROOT / "chapters"


def is_compared(cell: NotebookNode) -> bool:
    """Tell whether nbval compares the output of a cell."""
    return cell.cell_type == "code" and COMPARED in cell.metadata.get("tags", [])


def read(path: Path) -> NotebookNode:
    """Read a notebook as it is in the file."""
    return nbformat.read(path, nbformat.NO_CONVERT)


def text_of(notebook: NotebookNode) -> str:
    """Return a notebook as git stores it: sorted keys, indent 1, a newline at the end."""
    return nbformat.writes(notebook) + "\n"


def write(notebook: NotebookNode, path: Path) -> None:
    """Write a notebook in one move, so that an interruption leaves the old one."""
    files.write(path, text_of(notebook))


def first_cell(root: Path = ROOT) -> NotebookNode:
    """Return the first code cell of every chapter: it knows the repository that _config.yml names."""
    config = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))
    repository = config["sphinx"]["config"]["html_theme_options"]["repository_url"]
    source = FIRST_SOURCE.format(f"git+{repository}" if repository else "FOLDER_OF_THE_BOOK")
    cell = nbformat.v4.new_code_cell(source, id=FIRST, metadata={"tags": ["remove-cell"]})
    fold(cell)
    return cell


def put_first(notebook: NotebookNode, cell: NotebookNode) -> None:
    """Put the first code cell in place; what is numbered after a new one counts one more."""
    if any(old.get("id") == FIRST for old in notebook.cells):
        notebook.cells = [cell if old.get("id") == FIRST else old for old in notebook.cells]
        return
    place = next((i for i, old in enumerate(notebook.cells) if old.cell_type == "code"), len(notebook.cells))
    for counted in [*notebook.cells, *(output for old in notebook.cells for output in old.get("outputs", []))]:
        if counted.get("execution_count"):
            counted.execution_count += 1
    notebook.cells.insert(place, cell)


def fold(cell: NotebookNode) -> None:
    """Fold in JupyterLab, in place, what the tags of a code cell fold on the site; unfold everything else."""
    tags = cell.metadata.get("tags", [])
    hidden = {name: value for tag in tags for name, value in HIDDEN.get(tag, {}).items()}
    cell.metadata.pop("jupyter", None)
    if cell.cell_type == "code" and hidden:
        cell.metadata["jupyter"] = hidden


def strip(notebook: NotebookNode) -> None:
    """Remove in place all that a run leaves behind, except the outputs of compared cells; fold what the site folds."""
    notebook.metadata = nbformat.from_dict({"kernelspec": KERNELSPEC, "language_info": {"name": "python"}})
    for cell in notebook.cells:
        for volatile in ("execution", "collapsed", "scrolled", "ExecuteTime", "editable", "slideshow"):
            cell.metadata.pop(volatile, None)
        fold(cell)
        if cell.cell_type == "code" and not (is_compared(cell) and cell.outputs):
            cell.outputs, cell.execution_count = [], None


def refresh(path: Path) -> None:
    """Run a notebook as its reader does: a fresh kernel in its own folder, from top to bottom."""
    notebook = read(path)
    if is_chapter(path):
        put_first(notebook, first_cell())
    resources = {"metadata": {"path": str(path.parent)}}
    options = {"timeout": CELL_TIMEOUT, "extra_arguments": ["--log-level=ERROR"]}
    NotebookClient(notebook, kernel_name="python3", resources=resources, **options).execute(
        env={**NO_BARS, **KEPT, **os.environ}
    )
    strip(notebook)
    write(notebook, path)


def output_violations(cell: NotebookNode) -> list[str]:
    """Say what makes the stored output of a compared cell unfit to be compared."""
    if not cell.outputs:
        return ["is compared, but has no stored output, so nothing would be compared: run `make notebooks`"]
    found = []
    if cell.execution_count is None:
        found.append("has an output but no execution count, which nbval refuses: run `make notebooks`")
    texts = [output.get("text") or output.get("data", {}).get("text/plain", "") for output in cell.outputs]
    if any("image/png" in output.get("data", {}) for output in cell.outputs):
        found.append("is compared, but shows an image, which differs between machines")
    if ADDRESS.search("".join(texts)):
        found.append("is compared, but shows the address of an object, which differs in every run")
    if "".join(texts).count("\n") > LONGEST_OUTPUT:
        found.append(f"is compared, but its output is longer than {LONGEST_OUTPUT} lines")
    return found


def typed_numbers(cell: NotebookNode) -> list[str]:
    """List the measured numbers that somebody typed into prose."""
    return TYPED.findall(QUOTED.sub("", FENCED.sub("", cell.source))) if cell.cell_type == "markdown" else []


def violations(path: Path) -> list[str]:
    """Return one line for each thing that is wrong with a notebook."""
    text = path.read_text(encoding="utf-8")
    names = [cell.get("id") for cell in json.loads(text)["cells"]]  # nbformat would mend them while it reads
    if None in names or len(set(names)) < len(names):
        return [f"{path.name}: two cells share an id, or one has none: run `python tools/notebooks.py strip`"]
    notebook = read(path)
    try:
        nbformat.validate(notebook)
    except nbformat.ValidationError as error:
        return [f"{path.name}: is no valid notebook: {error}"]
    found = []
    for number, cell in enumerate(notebook.cells, start=1):
        if is_compared(cell):
            found += [f"cell {number} {message}" for message in output_violations(cell)]
        if typed := typed_numbers(cell):
            found.append(f"cell {number} has {', '.join(typed)} in prose: let a cell compute it and print Markdown")
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    if is_chapter(path) and code[:1] != [first_cell()]:
        found.append("does not begin with the first cell of all chapters: run `python tools/notebooks.py strip`")
    if is_chapter(path):
        found += lessons.violations(notebook)
    stored = text_of(notebook)
    strip(notebook)
    if text_of(notebook) != stored:
        message = "carries outputs, counts or metadata of a run, or is not folded as the site folds it"
        found.append(f"{message}: run `python tools/notebooks.py strip`")
    elif text != stored:
        found.append("is not formatted as nbformat writes it: run `python tools/notebooks.py strip`")
    return [f"{path.name}: {message}" for message in found]


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("refresh", "strip", "check"))
    parser.add_argument("files", nargs="*", type=Path)
    options = parser.parse_args()
    found = []
    for path in [path.resolve() for path in options.files] or chapters():
        start = time.perf_counter()
        if options.command == "refresh":
            try:
                refresh(path)
            except CellExecutionError as error:
                sys.exit(f"{path.name}: left as it was, because a cell fails.\n{error}")
        elif options.command == "strip":
            notebook = read(path)
            if is_chapter(path):
                put_first(notebook, first_cell())
            strip(notebook)
            write(notebook, path)
        found += violations(path)
        print(f"{path.name}: {time.perf_counter() - start:.1f} s")
    sys.exit("\n".join(found) or None)


if __name__ == "__main__":
    main()
