"""`make lab`: the page of contents, JupyterLab's settings, and both in a real JupyterLab."""

import contextlib
import json
import os
import re
import secrets
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import jupyterlab
import lab
import pytest
from sphinx_external_toc.parsing import parse_toc_yaml

SCHEMAS = Path(sys.prefix) / "share/jupyter/lab/schemas/@jupyterlab"
LINK = re.compile(r"^ *- \[(.+)\]\((.+)\)$", re.M)
SERVER_STARTS_IN = 300  # seconds


def test_the_contents_list_the_pages_in_the_order_of_the_book(root):
    links = LINK.findall(lab.contents(root))
    files = [Path(os.path.normpath((root / lab.START).parent / target)) for _, target in links]
    assert all(file.is_file() for file in files)
    listed = [file.relative_to(root).with_suffix("").as_posix() for file in files]
    made_by_sphinx = ["chapters/api", "chapters/api_base", "chapters/api_experiments", "chapters/status"]
    assert listed == [page for page in parse_toc_yaml(root / "_toc.yml") if page not in ["index", *made_by_sphinx]]


def test_the_contents_give_the_titles_and_the_parts(root):
    text = lab.contents(root)
    assert "\n- [3 The three methods](../../chapters/03_methods.ipynb)\n  - [3.1 Feature extraction](" in text
    assert text.index("## Lessons") < text.index("[1 Background]") < text.index("## To look things up")
    assert "[References](../../chapters/references.md)" in text


@pytest.mark.parametrize("plugin", lab.SETTINGS)
def test_jupyterlab_knows_the_settings(plugin):
    """A setting with another name would be left out without a word."""
    extension, name = plugin.removeprefix("@jupyterlab/").split(":")
    known = json.loads((SCHEMAS / extension / f"{name}.json").read_text(encoding="utf-8"))["properties"]
    assert set(lab.SETTINGS[plugin]) <= set(known), jupyterlab.__version__


def test_what_is_not_there_is_written_and_what_is_old_is_written_anew(root, tmp_path):
    for name in ("_config.yml", "_toc.yml"):
        (tmp_path / name).write_bytes((root / name).read_bytes())
    (tmp_path / "_toc.yml").write_text("root: index\nparts: [{caption: One, chapters: [{file: chapters/a}]}]\n")
    (tmp_path / "chapters").mkdir()
    for title in ("Old", "New"):
        (tmp_path / "chapters/a.md").write_text(f"# {title} title\n\n# Another\n")
        options = lab.prepare(tmp_path)
        assert f"## One\n\n- [{title} title](../../chapters/a.md)\n" in (tmp_path / lab.START).read_text()
    assert json.loads((tmp_path / lab.FOLDER / "overrides.json").read_text()) == lab.SETTINGS
    assert options[0].endswith(f"={tmp_path}")


@pytest.fixture(scope="module")
def address(root, tmp_path_factory):
    """Start `make lab` without a browser and with no settings of a user; give its address."""
    folder = tmp_path_factory.mktemp("lab")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_hex(8)
    options = ["--no-browser", "--allow-root", f"--port={port}", f"--IdentityProvider.token={token}"]
    homes = {name: str(folder / name) for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "IPYTHONDIR")}
    with (folder / "log").open("w") as log:
        command = [sys.executable, str(root / "tools/lab.py"), *options]
        server = subprocess.Popen(command, env=os.environ | homes, stdout=log, stderr=log)
    try:
        end = time.monotonic() + SERVER_STARTS_IN
        while True:
            with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/api", timeout=20):
                break
            assert time.monotonic() < end, (folder / "log").read_text()
            time.sleep(0.3)
        yield f"http://127.0.0.1:{port}/?token={token}"
    finally:
        server.terminate()
        server.wait(60)


def test_a_reader_comes_from_the_contents_to_a_page_and_to_a_reference(chromium, address):
    """No question is asked, what the site folds is folded, no role shows, and a citation leads to its work."""
    from playwright.sync_api import expect

    with chromium.new_context(viewport={"width": 1300, "height": 900}) as context:
        tab, slow = context.new_page(), {"timeout": 120_000}
        tab.goto(address)
        start = tab.locator(".jp-MarkdownViewer")
        start.get_by_role("link", name="1 Background", exact=True).click(**slow)
        page = tab.locator(".jp-NotebookPanel:visible")
        expect(tab.get_by_text("Python 3 (ipykernel) | Idle")).to_be_visible(**slow)
        expect(page.locator(".jp-mod-rendered h1")).to_contain_text("1 Background", **slow)
        assert tab.locator(".jp-Dialog, .Toastify__toast").all_inner_texts() == []
        expect(page.locator(".jp-CodeCell .jp-InputPlaceholder").first).to_contain_text("import tl_helpers")
        expect(tab.locator(".jp-BreadCrumbs")).to_contain_text("chapters")
        assert not re.search(r"\{(?:footcite|numref|doc|ref)\}", page.inner_text())

        page.get_by_role("link", name="Sharif Razavian et al. (2014)").click(**slow)
        works = tab.locator(".jp-MarkdownViewer:visible")
        expect(works.get_by_role("heading", name="Sharif Razavian et al. 2014")).to_be_in_viewport(**slow)
        expect(works.get_by_role("heading", name="Alpaydin and Kaynak 1998")).not_to_be_in_viewport()
