"""Build the book: run the chapters that changed, side by side, then write the site.

`python tools/book.py` is `make book` for systems without make. Results of chapters are kept in _build/.jupyter_cache
and used again until the chapter's code changes, or anything else that its outputs depend on: the book's packages, the
pinned and the installed ones, the Python, the data. Jupyter Book alone looks at the chapter's code only. The site is
written anew as a whole, or left alone where nothing changed: what Sphinx keeps of an earlier build differs from what it
makes by itself.
"""

import argparse
import asyncio
import functools
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

if __name__ == "__main__":  # nbformat and Jupyter Book load a grammar of addresses that nothing here uses: 1.5 s each
    sys.modules["rfc3987_syntax"] = None

import nbformat
import status
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn, JupyterCacheAbstract
from myst_nb.core.read import is_myst_markdown_notebook, read_myst_markdown_notebook
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from sphinx_external_toc.parsing import parse_toc_yaml
from sqlalchemy.exc import SQLAlchemyError
from tqdm import tqdm

from tl_base import files
from tl_helpers import data

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("tl_base", "tl_helpers", "tl_experiments")
PINS = ("requirements.txt", "constraints.txt")
CACHE, INPUTS = ".jupyter_cache", "inputs.sha256"  # of a build: the executed chapters; in there, their digest of inputs
SIDE_BY_SIDE = min(4, os.cpu_count() or 1)  # chapters that run at once; four take up to 6.5 GB of memory
# One thread a kernel: kernels that share the cores would else wait for each other.
ONE_CORE = dict.fromkeys(
    ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"
)
NO_BARS = {"TQDM_DISABLE": "1"}  # a bar that appears where a call is slow says nothing on a page
KEPT = {"TL_CACHE_DIR": str(ROOT / "_build" / "kept")}  # what frozen layers make of images, for all chapters
CELL_TIMEOUT = 600  # seconds
JUPYTER_BOOK = 'import sys; sys.modules["rfc3987_syntax"] = None; from jupyter_book.cli.main import main; main()'


class BuildError(Exception):
    """The book was not built; the message says why."""


@contextmanager
def step(name: str) -> Iterator[None]:
    """Announce a step and print how long it took."""
    print(f"[{name}]", flush=True)
    start = time.perf_counter()
    yield
    print(f"[{name}] {time.perf_counter() - start:.1f} s", flush=True)


def digest_of(paths: Iterable[Path], *facts: object) -> str:
    """Return one sha256 over some facts and the names and contents of files."""
    digest = hashlib.sha256(repr(facts).encode())
    for path in sorted(paths):
        digest.update(f"\n{path.relative_to(ROOT).as_posix()} ".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def files_below(folder: Path, *without: str) -> list[Path]:
    """Return the files of a folder; no hidden files (locks), no byte code, nothing of the folders named."""
    found = []
    for place, folders, names in os.walk(folder):
        inside = [name for name in folders if name not in ("__pycache__", *without) and not name.startswith(".")]
        folders[:] = [name for name in inside if not Path(place, name, "pyvenv.cfg").is_file()]
        found += [Path(place, name) for name in names if not name.startswith(".")]
    return [path for path in found if path.is_file()]


def data_identity() -> tuple[list[tuple[str, int, int]], bool, str, str]:
    """Say which data files a chapter would find, without reading them."""
    keras_home = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras").expanduser()
    found = [*(keras_home / "datasets").glob("mnist*"), *(keras_home / "datasets").glob("cifar-10*")]
    if os.environ.get("TL_DATA_DIR"):
        folder = Path(os.environ["TL_DATA_DIR"]).expanduser()
        found += [*folder.glob("*.npz"), *folder.glob("trashnet/*/*")]
    if os.environ.get("TL_PHOTOS"):  # those of a reader, for chapter 7
        found += Path(os.environ["TL_PHOTOS"]).expanduser().glob("*/*")
    stats = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in sorted(found)]
    named = bool(os.environ.get("TL_DATA_DIR")), os.environ.get("TL_OFFLINE", "0"), os.environ.get("TL_PHOTOS", "")
    return stats, *named


@functools.cache
def versions() -> tuple[str, list[tuple[str, str]]]:
    """Return the Python and the versions of the packages that are installed, whatever is pinned."""
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    return sys.version, sorted({(name, status.installed(name)) for name, _ in status.PIN.findall(pins)})


def digest_of_inputs() -> str:
    """Identify all that the chapters' outputs depend on, beside their own code."""
    packages = [path for name in PACKAGES for path in files_below(ROOT / name)]
    pins = [ROOT / name for name in PINS]
    return digest_of([*packages, *pins], versions(), sys.platform, ONE_CORE, NO_BARS, data_identity())


def digest_of_site(build: Path) -> str:
    """Identify a site: the files and versions that it is made of, the chapters' results, and the files that it has."""
    made = [
        (path.relative_to(build).as_posix(), path.stat().st_size, path.stat().st_mtime_ns)
        for folder in (build / CACHE / "executed", build / "html")
        for path in sorted(folder.rglob("*"))
    ]
    return digest_of(files_below(ROOT, "_build", "tests"), versions(), status.commit_of(ROOT), made)


def stamped(path: Path, digest: str) -> bool:
    """Tell whether a stamp file holds this digest."""
    return path.is_file() and path.read_text(encoding="utf-8") == digest


def write_stamp(path: Path, digest: str) -> None:
    """Write a stamp in one move, so that an interruption leaves none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write(path, digest)


def remove(*folders: Path) -> None:
    """Remove the folders that are there."""
    for folder in folders:
        if folder.exists():
            shutil.rmtree(folder)


def chapters() -> list[Path]:
    """Return the pages of the table of contents that have code to run, in reading order."""
    files = (ROOT / f"{page}{ending}" for page in parse_toc_yaml(ROOT / "_toc.yml") for ending in (".ipynb", ".md"))
    return [path for path in files if path.is_file() and (path.suffix == ".ipynb" or is_notebook(path))]


def is_notebook(path: Path) -> bool:
    """Tell whether a Markdown file has cells that run: the first page has some."""
    return is_myst_markdown_notebook(path.read_text(encoding="utf-8"))


def read(path: Path) -> NotebookNode:
    """Read a page as a notebook."""
    if path.suffix == ".ipynb":
        return nbformat.read(path, nbformat.NO_CONVERT)
    return read_myst_markdown_notebook(path.read_text(encoding="utf-8"), path=path)


def not_in(cache: JupyterCacheAbstract, paths: Iterable[Path]) -> list[tuple[Path, NotebookNode]]:
    """Return (path, notebook) for each notebook whose outputs the cache lacks; the most code first."""
    missing = []
    for path in paths:
        notebook = read(path)
        try:
            cache.match_cache_notebook(notebook)
        except KeyError:
            missing.append((path, notebook))
    return sorted(missing, key=lambda found: -sum(len(cell.source) for cell in code_cells(found[1])))


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    """Return the cells that run."""
    return [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]


class PlainLoop(asyncio.SelectorEventLoop):
    """An event loop that takes no signal handlers, as on Windows.

    nbclient's handler stops one kernel of several; without it, Ctrl-C cancels the whole task and ends every kernel.
    """

    def add_signal_handler(self, *_: object) -> None:
        """Refuse, in the way that nbclient expects."""
        raise NotImplementedError

    def remove_signal_handler(self, *_: object) -> bool:
        """Refuse, in the way that nbclient expects."""
        raise NotImplementedError


async def execute(
    path: Path, notebook: NotebookNode, cache: JupyterCacheAbstract, slots: asyncio.Semaphore, bar: tqdm
) -> str | None:
    """Run one chapter in a fresh kernel and put it into the cache; return the error text, None if all is well."""
    async with slots:
        start = time.perf_counter()
        client = NotebookClient(
            notebook,
            timeout=CELL_TIMEOUT,
            store_widget_state=False,  # the page has the widgets' own HTML; the state would stand beside it once more
            coalesce_streams=True,  # of a progress bar the last state alone
            record_timing=False,  # it would go into the cells' metadata, by which the cache knows a chapter
            resources={"metadata": {"path": str(path.parent)}},
            extra_arguments=["--log-level=ERROR"],
            shutdown_kernel="immediate",  # a kernel that is asked first complains about a cell that Ctrl-C cut short
            on_cell_executed=lambda **_: bar.update(),
        )
        try:
            await client.async_execute(env={**ONE_CORE, **NO_BARS, **KEPT, **os.environ})
        except (CellExecutionError, CellTimeoutError, DeadKernelError) as error:
            if asyncio.current_task().cancelling():
                return None  # Ctrl-C, which nbclient takes for the kernel's death
            bar.write(f"  {path.name}: FAILED")
            return f"{path.relative_to(ROOT)}: {type(error).__name__}\n{error}"
        seconds = time.perf_counter() - start
        bundle = CacheBundleIn(notebook, str(path), data={"execution_seconds": seconds})
        try:
            cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)
        except (OSError, SQLAlchemyError) as error:
            return f"{path.relative_to(ROOT)}: its results cannot be stored: {error}"
        bar.write(f"  {path.name}: {seconds:.1f} s")
    return None


async def execute_all(missing: list[tuple[Path, NotebookNode]], cache: JupyterCacheAbstract) -> list[str]:
    """Run chapters side by side; return the error texts."""
    slots = asyncio.Semaphore(SIDE_BY_SIDE)
    cells = sum(len(code_cells(notebook)) for _, notebook in missing)
    with tqdm(total=cells, unit="cell", disable=None, leave=False) as bar:  # no bar where there is no terminal
        async with asyncio.TaskGroup() as group:
            runs = [group.create_task(execute(*found, cache, slots, bar)) for found in missing]
    return [run.result() for run in runs if run.result()]


def cache_of(build: Path) -> JupyterCacheAbstract:
    """Return the cache of executed chapters of a build."""
    return get_cache(build / CACHE)


def stale(build: Path) -> list[Path]:
    """Return the chapters that have not run as they are now, with what they depend on as it is now."""
    if not stamped(build / CACHE / INPUTS, digest_of_inputs()):
        return chapters()
    return [path for path, _ in not_in(cache_of(build), chapters())]


def executed(build: Path, path: Path) -> NotebookNode:
    """Return a chapter with the outputs of its last run."""
    return cache_of(build).merge_match_into_notebook(read(path))[1]


def run_chapters(build: Path) -> None:
    """Bring the cache of executed chapters up to date."""
    folder = build / CACHE
    if not stale(build):
        return
    with step("data"):  # once, before the chapters run: two kernels must not download the same file
        for name in data.KNOWN:
            data.load(name, required=False)
    digest = digest_of_inputs()
    if not stamped(folder / INPUTS, digest):
        remove(folder)
        write_stamp(folder / INPUTS, digest)
    with step("chapters"), asyncio.Runner(loop_factory=PlainLoop) as runner:
        cache = cache_of(build)
        errors = runner.run(execute_all(not_in(cache, chapters()), cache))
    if errors:
        raise BuildError("\n\n".join([*errors, f"{len(errors)} chapter(s) failed: see above."]))


def write_site(output: Path) -> None:
    """Let Jupyter Book write the site; a warning is an error."""
    build = output / "_build"
    stamp = build / "site.sha256"
    if stamped(stamp, digest_of_site(build)):
        print("  nothing changed")
        return
    stamp.unlink(missing_ok=True)
    remove(*(build / name for name in ("html", ".doctrees", "jupyter_execute")))
    options = ["--path-output", str(output), "-W", "-n", "--keep-going", "-q"]
    # There, because Python looks for modules where it is called: not for a tl_helpers in somebody's working folder.
    if subprocess.run([sys.executable, "-c", JUPYTER_BOOK, "build", str(ROOT), *options], cwd=ROOT).returncode:
        raise BuildError("Jupyter Book found errors or warnings: see above. Each warning is an error here.")
    write_stamp(stamp, digest_of_site(build))


def main() -> None:
    """Build the book from the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=ROOT, help="the site goes to OUTPUT/_build/html (default: here)")
    output = parser.parse_args().output.resolve()
    try:
        with step("book"):
            run_chapters(output / "_build")
            with step("site"):
                write_site(output)
    except (BuildError, data.DataError) as error:
        sys.exit(f"\n{error}")
    except OSError as error:
        sys.exit(
            f"\nThe book cannot be written: {error}\nMake room or name another place with --output; then call again."
        )
    except KeyboardInterrupt:
        sys.exit("\nInterrupted. What was finished is kept; the next call goes on from there.")
    page = output / "_build" / "html" / "index.html"
    print(f"The book is ready. Open this file in a browser:\n{page}\n{page.as_uri()}")


if __name__ == "__main__":
    main()
