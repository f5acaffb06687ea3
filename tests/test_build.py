"""tools/book.py in a small copy of the book: what is built anew, what is not, and what stops a build."""

import asyncio
import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import book as book_tool
import nbformat
import pytest
import status
from jupyter_cache import get_cache
from PIL import Image

pytestmark = pytest.mark.slow
COUNT = 'with open("runs.txt", "a") as file:\n    print("run", file=file)'
SHOW = """import os
from tl_helpers import answers
print(f"The answer is {answers.number()}.", os.environ["OMP_NUM_THREADS"], "thread")"""
TOC = "format: jb-book\nroot: index\nchapters:\n  - file: chapters/page\n  - file: chapters/status\n"

REPOSITORY = "https://github.com/any-name/any-book"
BUTTONS = {
    "https://mybinder.org/v2/gh/any-name/any-book/main?urlpath=lab/tree/chapters/page.ipynb",
    "https://colab.research.google.com/github/any-name/any-book/blob/main/chapters/page.ipynb",
}
CARD = {"runs": 3, "machines": ["<script>alert(1)</script>", "*two* {doc}`no-such-page` [a](b)"]}


@pytest.fixture
def book(root, tmp_path):
    """Return a book of one page that shows what a helper returns and counts its runs in a file."""
    tmp_path = tmp_path / "a book 书 é"  # a folder as people name them
    shutil.copytree(root / "tools", tmp_path / "tools")
    for name in ("chapters/status.md", "_config.yml", "requirements.txt", "constraints.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(root / name, tmp_path / name)
    for folder in ("static", "templates"):
        shutil.copytree(root / folder, tmp_path / folder, ignore=shutil.ignore_patterns("mathjax"))
    for folder in ("tl_helpers/assets", "data"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "_toc.yml").write_text(TOC)
    (tmp_path / "index.md").write_text("# A book\n")
    (tmp_path / "references.bib").write_text("")
    (tmp_path / "tl_helpers/__init__.py").write_text("")
    (tmp_path / "tl_helpers/data.py").write_text("KNOWN = {}\nDataError = ValueError\n")
    (tmp_path / "tl_helpers/answers.py").write_text("def number():\n    return 41\n")
    (tmp_path / "tl_helpers/assets/records.json").write_text(json.dumps(CARD))
    write_page(tmp_path, "Some prose.")
    return SimpleNamespace(folder=tmp_path, page=tmp_path / "_build/html/chapters/page.html", build=build_in(tmp_path))


def write_page(folder, prose, code=SHOW):
    """Write the page; its cells keep their ids."""
    cells = [
        nbformat.v4.new_markdown_cell(f"# Page\n\n{prose}", id="prose"),
        nbformat.v4.new_code_cell(COUNT, id="count"),
        nbformat.v4.new_code_cell(code, id="show"),
    ]
    spec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": spec}), folder / "chapters/page.ipynb")


def command_of(folder):
    """Return the command that builds a book, and its environment."""
    own = {"PYTHONPATH": str(folder), "KERAS_HOME": str(folder / "keras"), "TL_DATA_DIR": str(folder / "data")}
    return [sys.executable, str(folder / "tools/book.py")], {**os.environ, **own}


def build_in(folder):
    """Return a function that builds the book of a folder and returns the finished process."""
    command, own = command_of(folder)

    def build(**changes):
        return subprocess.run(command, env={**own, **changes}, capture_output=True, text=True, timeout=900)

    return build


def runs(book):
    return len((book.folder / "chapters/runs.txt").read_text().splitlines())


def test_a_page_follows_everything_that_it_depends_on(book):
    first = book.build()
    assert first.returncode == 0, first.stdout + first.stderr
    assert book.page.as_uri().replace("chapters/page", "index") in first.stdout
    assert "The answer is 41. 1 thread" in book.page.read_text()

    assert [host for host in ("mybinder.org", "colab") if host in book.page.read_text()] == []  # no repository is named
    told = (book.folder / "_build/html/chapters/status.html").read_text()
    assert re.search(r"Page</span></a></p></td>\n<td><p>\d+\.\d</p>", told)  # how long the page ran
    assert "&lt;script&gt;alert(1)&lt;/script&gt;, *two* {doc}`no-such-page` [a](b)" in told  # nothing of it is markup
    assert "no git history" in told

    write_page(book.folder, "Other prose.")
    assert book.build().returncode == 0
    assert "Other prose." in book.page.read_text()
    assert runs(book) == 1  # prose alone runs nothing

    helper = book.folder / "tl_helpers/answers.py"
    helper.write_text(helper.read_text().replace("41", "42"))
    config = book.folder / "_config.yml"
    config.write_text(config.read_text().replace('repository_url: ""', f"repository_url: {REPOSITORY}"))
    assert book.build().returncode == 0
    assert "The answer is 42." in book.page.read_text()
    assert set(re.findall('href="(https://[^"]*)', book.page.read_text())) >= BUTTONS
    assert runs(book) == 2

    (book.folder / "data/mnist.npz").write_bytes(b"other data")
    assert book.build().returncode == 0
    assert runs(book) == 3


def test_a_failing_cell_stops_the_build_with_its_traceback(book):
    write_page(book.folder, "Some prose.", "numerator = 1\nnumerator / 0")
    for _ in range(2):  # an error that was seen once does not pass the second time
        failed = book.build()
        assert failed.returncode == 1
        assert "ZeroDivisionError" in failed.stderr
        assert "numerator" in failed.stderr
        assert "page.ipynb" in failed.stderr
        assert not book.page.exists()
    write_page(book.folder, "Some prose.")
    assert book.build().returncode == 0


def test_a_warning_stops_every_build_until_it_is_mended(book):
    write_page(book.folder, "See {doc}`no-such-page`.")
    for _ in range(2):  # Sphinx by itself warns once and then finds nothing to do
        failed = book.build()
        assert failed.returncode == 1
        assert "no-such-page" in failed.stderr
    write_page(book.folder, "Some prose.")
    assert book.build().returncode == 0
    assert runs(book) == 1


# --- Any number of builds, in any order, gives the site of a clean one ------------------------------------------------

PICTURE = "from PIL import Image\nImage.new('RGB', (8, 8), 'red')"
CAPTION = {"mystnb": {"figure": {"caption": "A red square.", "name": "fig-red"}, "image": {"alt": "a red square"}}}
WORDS = """# Words

```{glossary}
freezing
冻结层
  Fixed weights; see {term}`arm`.

arm
实验组
  What is compared.
```
"""
# What may differ, on the page "Status" alone: when the site was built, when a chapter ran and for how many seconds.
WHEN = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC|(?<=<td><p>)\d+\.\d(?=</p>)")


@pytest.fixture
def larger(book):
    """Return the book with a figure, a glossary, a reference and two more pages."""
    chapters = book.folder / "chapters"
    page = nbformat.read(chapters / "page.ipynb", nbformat.NO_CONVERT)
    page.cells.append(nbformat.v4.new_code_cell(PICTURE, id="picture", metadata=CAPTION))
    nbformat.write(page, chapters / "page.ipynb")
    (book.folder / "tl_helpers/answers.py").write_text('def number():\n    """Return a number."""\n    return 41\n')
    (chapters / "words.md").write_text(WORDS)
    (chapters / "api.md").write_text("# Reference\n\n```{eval-rst}\n.. automodule:: tl_helpers.answers\n```\n")
    (chapters / "first.md").write_text("# First\n\n{term}`freezing`, {term}`arm`, {numref}`fig-red`.\n")
    (chapters / "last.md").write_text("# Last\n\n![a red square](red.png)\n\nA page with zebras.\n")
    Image.new("RGB", (8, 8), "red").save(chapters / "red.png")
    write_toc(book.folder, "page", "words", "api", "first", "last", "status")
    return book


def write_toc(folder, *pages):
    lines = "".join(f"  - file: chapters/{page}\n" for page in pages)
    (folder / "_toc.yml").write_text(f"format: jb-book\nroot: index\nchapters:\n{lines}")


def site_in(folder):
    """Return the bytes of each file of a site, without what may differ."""
    html = folder / "_build/html"
    files = {path.relative_to(html).as_posix(): path.read_bytes() for path in html.rglob("*") if path.is_file()}
    files["chapters/status.html"] = WHEN.sub("then", files["chapters/status.html"].decode()).encode()
    return files


def same_as_clean(book, name):
    """Build the book once more where it is, and beside it a clean one elsewhere; return where the sites differ."""
    command, environment = command_of(book.folder)
    place = book.folder / "clean" / name
    shutil.copytree(book.folder / "_build/.jupyter_cache", place / "_build/.jupyter_cache", copy_function=shutil.copy2)
    how = {"env": environment, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    both = [subprocess.Popen([*command, *where], **how) for where in ([], ["--output", str(place)])]
    told = [build.communicate(timeout=900)[0] for build in both]
    assert [build.returncode for build in both] == [0, 0], told
    ours, clean = site_in(book.folder), site_in(place)
    return sorted(path for path in {*ours, *clean} if ours.get(path) != clean.get(path))


def replace(path, old, new):
    """Change a text file, and let it look older than every build, as one that was moved here."""
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    os.utime(path, (1_000_000_000, 1_000_000_000))


def test_any_number_of_builds_in_any_order_gives_the_site_of_a_clean_build(larger):
    chapters, html = larger.folder / "chapters", larger.folder / "_build/html"
    first = larger.build()
    assert first.returncode == 0, first.stderr[-1500:]
    index = (html / "searchindex.js").read_text()
    assert "tl_helpers.answers.number" in index.partition('"indexentries"')[2].partition("}")[0]
    assert same_as_clean(larger, "a second build") == []

    replace(chapters / "page.ipynb", "Some prose.", "Prose about giraffes.")
    assert same_as_clean(larger, "prose") == []
    assert "giraff" in (html / "searchindex.js").read_text()

    replace(chapters / "page.ipynb", "A red square.", "A square, all red.")
    replace(chapters / "words.md", "arm\n", "alpha\n\u5b66\u4e60\n  A letter.\n\narm\n")
    assert same_as_clean(larger, "a caption, a term") == []

    (chapters / "first.md").rename(chapters / "start.md")
    (chapters / "last.md").unlink()
    write_toc(larger.folder, "page", "words", "api", "start", "status")
    assert same_as_clean(larger, "pages renamed and removed") == []
    assert [path.name for path in html.rglob("*") if path.stem in ("first", "last", "red")] == []
    assert "zebra" not in (html / "searchindex.js").read_text()

    (html / "old.html").write_text("<p>from somewhere else")
    (html / "index.html").unlink()
    command, environment = command_of(larger.folder)
    building = subprocess.Popen(command, env=environment, start_new_session=True, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 600
    for begun in (lambda: not html.exists(), lambda: (html / "chapters").is_dir()):  # removed, then half written
        while not begun():
            assert time.monotonic() < deadline
            time.sleep(0.01)
    os.killpg(building.pid, signal.SIGKILL)
    building.wait()
    assert same_as_clean(larger, "files of the site changed, a build killed") == []


@pytest.fixture
def digests(larger, monkeypatch):
    """Return a function that gives the digests by which a build knows the site and the chapters' results."""
    monkeypatch.setattr(book_tool, "ROOT", larger.folder)
    monkeypatch.setenv("TL_DATA_DIR", str(larger.folder / "data"))
    monkeypatch.setenv("KERAS_HOME", str(larger.folder / "keras"))
    for name in ("html/index.html", ".jupyter_cache/executed/0/base.ipynb"):
        (larger.folder / "_build" / name).parent.mkdir(parents=True)
        (larger.folder / "_build" / name).write_text("made")
    return lambda: (book_tool.digest_of_site(larger.folder / "_build"), book_tool.digest_of_inputs())


SITE_ONLY = ["index.md", "_toc.yml", "_config.yml", "references.bib", "chapters/words.md", "chapters/red.png"]
SITE_ONLY += ["static/book.css", "templates/static/webpack-macros.html", "tools/accessible.py", "more/new page.md"]
SITE_ONLY += ["_build/html/index.html", "_build/html/old.html", "_build/.jupyter_cache/executed/0/base.ipynb"]
BOTH = ["tl_helpers/answers.py", "tl_helpers/assets/records.json", "tl_helpers/front/new.js", "requirements.txt"]
BOTH += ["constraints.txt", "tl_helpers/assets/records/tuning.csv"]
NOTHING = ["tl_helpers/assets/.records.lock", "tl_helpers/assets/records/.tuning.csv.lock"]
NOTHING += ["tl_helpers/.DS_Store", "chapters/.ipynb_checkpoints/page.ipynb"]
NOTHING += ["tools/__pycache__/book.pyc", "tl_helpers/__pycache__/data.pyc", "tests/test_new.py", "_build/book.pdf"]
NOTHING += [".git/index", ".venv/lib/module.py", "my env/lib/module.py", "elsewhere/_build/html/index.html"]


@pytest.mark.parametrize(
    ("names", "changes"), [(SITE_ONLY, (True, False)), (BOTH, (True, True)), (NOTHING, (False, False))]
)
def test_a_build_knows_what_it_depends_on(larger, digests, names, changes):
    (larger.folder / "my env").mkdir()
    (larger.folder / "my env/pyvenv.cfg").write_text("home = /usr/bin")
    for name in names:
        before, path = digests(), larger.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((path.read_bytes() if path.is_file() else b"") + b"\n")
        assert tuple(old != new for old, new in zip(before, digests(), strict=True)) == changes, name


def test_a_build_knows_what_is_installed_whatever_is_pinned(digests, monkeypatch):
    before = digests()
    monkeypatch.setattr(book_tool, "versions", book_tool.versions.__wrapped__)
    assert digests() == before
    monkeypatch.setattr(status, "installed", lambda name: "another version")
    assert all(old != new for old, new in zip(before, digests(), strict=True))


def test_a_build_knows_that_a_file_is_gone_or_has_another_name(larger, digests):
    seen = {digests()[0]}
    (larger.folder / "chapters/last.md").rename(larger.folder / "chapters/least.md")
    seen.add(digests()[0])
    (larger.folder / "chapters/least.md").unlink()
    seen.add(digests()[0])
    (larger.folder / "_build/html/index.html").unlink()
    seen.add(digests()[0])
    assert len(seen) == 4


def test_ctrl_c_ends_in_a_sentence_and_the_next_build_works_even_in_a_poor_environment(book):
    write_page(book.folder, "Some prose.", "import time\ntime.sleep(100)")
    command, environment = command_of(book.folder)
    quiet = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "start_new_session": True}
    building = subprocess.Popen(command, env=environment, **quiet)
    deadline = time.monotonic() + 600
    while not (book.folder / "chapters/runs.txt").is_file() and time.monotonic() < deadline:
        time.sleep(0.1)
    os.killpg(building.pid, signal.SIGINT)  # as a terminal does: to the kernels, too
    told, _ = building.communicate(timeout=600)
    assert building.returncode == 1
    assert told.endswith("Interrupted. What was finished is kept; the next call goes on from there.\n")
    assert "Traceback" not in told

    write_page(book.folder, "Prose 书 é.", "print('书')")
    home = book.folder / "home"
    home.write_text("a file where the home should be, so that nobody can write into it")
    built = book.build(HOME=str(home), LANG="C", LC_ALL="C")
    assert built.returncode == 0, built.stdout + built.stderr
    assert "Prose 书 é." in book.page.read_text(encoding="utf-8")
    assert "<span></span>书" in book.page.read_text(encoding="utf-8")


def test_a_place_that_cannot_be_written_is_said_in_a_sentence(book):
    place = book.folder / "_build"
    place.write_text("a file where the folder should be")
    failed = book.build()
    assert failed.returncode == 1
    assert "The book cannot be written: [Errno" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert place.read_text() == "a file where the folder should be"


def test_results_that_do_not_fit_the_disk_are_said_and_stored_by_the_next_run(tmp_path, monkeypatch):
    class Full:
        def cache_notebook_bundle(self, *_, **__):
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(book_tool, "ROOT", tmp_path)
    page = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1")])
    found = [(tmp_path / "page.ipynb", page)]
    nbformat.write(page, found[0][0])
    (told,) = asyncio.run(book_tool.execute_all(found, Full()))
    assert told == "page.ipynb: its results cannot be stored: [Errno 28] No space left on device"
    cache = get_cache(tmp_path / "cache")
    assert asyncio.run(book_tool.execute_all(found, cache)) == []
    assert book_tool.not_in(cache, [found[0][0]]) == []


def test_the_status_lists_every_data_set_of_the_records(root):
    told = status.data_sets(SimpleNamespace(srcdir=root)).astext()
    prints = json.loads((root / "tl_helpers/assets/records.json").read_text(encoding="utf-8"))["data"]
    assert {"mnist", "cifar10", "digits", "trashnet"} <= prints.keys()
    assert [name for name, number in prints.items() if name not in told or number not in told] == []
    assert status.UNKNOWN not in told


def test_the_status_names_the_commit_and_says_when_there_is_more(tmp_path):
    def git(*arguments):
        identity = ("-c", "user.name=Somebody", "-c", "user.email=somebody@example.org")
        subprocess.run(["git", "-C", str(tmp_path), *identity, *arguments], check=True, capture_output=True)

    assert status.commit_of(tmp_path) == "unknown: this copy of the book has no git history"
    git("init")
    assert status.commit_of(tmp_path).startswith("unknown")  # no commit yet
    (tmp_path / "page.md").write_text("One")
    git("add", ".")
    git("commit", "-m", "One")
    assert re.fullmatch("[0-9a-f]{40}", status.commit_of(tmp_path))
    (tmp_path / "copy").mkdir()
    assert status.commit_of(tmp_path / "copy").startswith("unknown")  # a copy within another project
    (tmp_path / "page.md").write_text("Two")
    assert status.commit_of(tmp_path).endswith("with changes that are not committed")
