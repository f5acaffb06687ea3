"""Open the book in JupyterLab, on a page that lists its pages in the order in which they are read.

`python tools/lab.py` is `make lab` for systems without make. What follows goes to JupyterLab, such as `--no-browser`.
The page of contents and JupyterLab's settings for this book are written anew each time, into _build/lab; settings that
you have changed yourself come first.
"""

import json
import sys
from pathlib import Path
from typing import Any

import nbformat
import yaml
from jupyterlab import labapp

from tl_base import files

ROOT = Path(__file__).resolve().parent.parent
FOLDER = "_build/lab"
START = f"{FOLDER}/contents.md"
SITE_ONLY = ("api", "status")  # pages that Sphinx makes: there is nothing to read in their files
SETTINGS = {
    # no question about news, and nothing asked of another host
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False},
    # a page of Markdown is read, not edited
    "@jupyterlab/docmanager-extension:plugin": {"defaultViewers": {"markdown": "Markdown Preview"}},
    # the list of files shows the folder of the page that is open
    "@jupyterlab/filebrowser-extension:browser": {"navigateToCurrentDirectory": True},
    # the kernel that a notebook names starts, without a question
    "@jupyterlab/notebook-extension:tracker": {"autoStartDefaultKernel": True},
}
HEAD = """\
A click on a page opens it. In a page, **Shift + Enter** runs a cell and goes on to the next one, and
*Run → Run All Cells* runs all cells. A folded cell shows its first line: a click on that line opens it.
"""


def title_of(path: Path) -> str:
    """Return the title of a page: its first heading."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".ipynb":
        cells = nbformat.reads(text, nbformat.NO_CONVERT).cells
        text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    return next(line.removeprefix("# ") for line in text.splitlines() if line.startswith("# "))


def lines(root: Path, pages: list[dict[str, Any]], indent: str = "") -> list[str]:
    """Return a list of links to pages, those below a page indented."""
    found = []
    for page in pages:
        if Path(page["file"]).stem.startswith(SITE_ONLY):
            continue
        path = next(path for end in (".ipynb", ".md") if (path := root / f"{page['file']}{end}").is_file())
        up = "../" * len(Path(FOLDER).parts)
        found.append(f"{indent}- [{title_of(path)}]({up}{path.relative_to(root).as_posix()})")
        found += lines(root, page.get("sections", []), f"{indent}  ")
    return found


def contents(root: Path) -> str:
    """Return the page of contents, in Markdown."""
    title = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))["title"]
    parts = yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8"))["parts"]
    blocks = [f"## {part['caption']}\n\n" + "\n".join(lines(root, part["chapters"])) + "\n" for part in parts]
    return "\n".join([f"# {title}\n", HEAD, *blocks])


def prepare(root: Path) -> list[str]:
    """Write the page of contents and the settings; return what JupyterLab is started with."""
    (root / FOLDER).mkdir(parents=True, exist_ok=True)
    files.write(root / START, contents(root))
    files.write(root / FOLDER / "overrides.json", json.dumps(SETTINGS, indent=1) + "\n")
    return [
        f"--ServerApp.root_dir={root}",
        f"--LabApp.app_settings_dir={root / FOLDER}",
        f"--LabApp.default_url=/lab/tree/{START}",
    ]


def main() -> None:
    """Run the command line."""
    sys.exit(labapp.main([*prepare(ROOT), *sys.argv[1:]]))


if __name__ == "__main__":
    main()
