"""What the tests share."""

from pathlib import Path

import browser as browsers
import numpy as np
import pytest
import toy_experiments as toy
from playwright.sync_api import sync_playwright

import tl_experiments as experiments
from tl_helpers import data, records

ROOT = Path(__file__).resolve().parent.parent


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
    return experiments.run(toy.GRIDS, tmp_path_factory.mktemp("runs") / "one.csv", progress=False)


@pytest.fixture(scope="module")  # not longer: while it runs, a test cannot start an event loop of its own
def chromium():
    """A browser without a window."""
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
