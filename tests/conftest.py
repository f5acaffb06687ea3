"""What the tests share, and the marks by which `make check` chooses among them."""

import os
import re
from pathlib import Path

if "PYTEST_XDIST_WORKER" in os.environ:  # workers that share the cores would else wait for each other's threads
    for threads in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(threads, "1")

import numpy as np
import pytest

from tl_helpers import data, records

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 30_000  # milliseconds that an expectation about a page has, however busy the machine is
# A test has the marks of the fixtures that it uses, directly or through others, and those of its file: of what the file
# imports, or of a `pytestmark` in it.
MARKS = ("browser", "training", "site", "slow")
FIXTURES = {"chromium": "browser", "site": "site", "source": "training", "done": "training"}
# Modules that load TensorFlow as soon as they are imported.
LOADERS = (
    "applications|augmentation|checkpoints|clones|efficientnet|exports|graph|heads|knowledge|listing|models|page_heads"
    "|prefixes|residual|results|running|steps|store|training|transfer|workbench"
)
IMPORTS = {
    "browser": re.compile(r"^from (playwright|axe_playwright_python)\b", re.M),
    "training": re.compile(rf"^from (keras|tl_base\.backend)\b|^from tl_\w+ import .*\b({LOADERS})\b", re.M),
}


def marks_of(path):
    """Return the marks of a test file; they are known without importing it."""
    text = path.read_text(encoding="utf-8")
    return [mark for mark, pattern in IMPORTS.items() if pattern.search(text)]


def pytest_ignore_collect(collection_path, config):
    """Do not even import a file whose tests nobody asks for: loading TensorFlow takes longer than most tests."""
    if collection_path.name.startswith("test_") and collection_path.suffix == ".py":
        return any(f"not {mark}" in config.option.markexpr for mark in marks_of(collection_path)) or None
    return None


def pytest_collection_modifyitems(items):
    """Mark each test; files that take long come first, so that no worker is left with one of them at the end."""
    for item in items:
        used = getattr(item, "fixturenames", ())
        for mark in {*marks_of(item.path), *(mark for name, mark in FIXTURES.items() if name in used)}:
            item.add_marker(mark)
    long = {item.path for item in items if any(item.get_closest_marker(mark) for mark in MARKS)}
    items.sort(key=lambda item: item.path not in long)  # otherwise as they were


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory):
    """Tests, and what they start, keep nothing in the user's cache folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TL_CACHE_DIR", str(tmp_path_factory.mktemp("kept")))
        yield


@pytest.fixture(scope="session")
def root():
    return ROOT


@pytest.fixture(scope="session")
def shipped():
    """The records that ship; nobody changes them."""
    return records.load()


@pytest.fixture(scope="session")
def done(tmp_path_factory):
    """The records of the toy grids, done once."""
    import toy_experiments as toy

    import tl_experiments as experiments

    return experiments.run(toy.GRIDS, tmp_path_factory.mktemp("runs") / "one.csv", progress=False)


@pytest.fixture(scope="module")  # not longer: while it runs, a test cannot start an event loop of its own
def chromium():
    """A browser without a window."""
    import browser as browsers  # loads Playwright, which most tests do without
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = browsers.launch(playwright)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def split():
    """A small task with structure: a bright square in one of three places, 30 images a class."""
    generator = np.random.default_rng(0)
    labels = np.repeat(np.arange(3), 30)
    images = generator.integers(0, 90, (90, 32, 32), dtype=np.uint8)
    for i, label in enumerate(labels):
        images[i, 4:12, 2 + 10 * label : 10 + 10 * label] += 120
    return data.few_shot(data.from_arrays(images, labels, name="squares"), per_class=8, seed=0)


@pytest.fixture(scope="module")
def source():
    """An untrained source network."""
    from tl_helpers import models  # loads TensorFlow, which most tests do without

    return models.source_cnn(7)
