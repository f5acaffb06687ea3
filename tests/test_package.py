"""The packages as a whole: what an import loads, what is found under which name."""

import re
import subprocess
import sys

import pytest

import tl_experiments
import tl_helpers
from tl_helpers import models

NOTHING_HEAVY = """
import sys
import tl_base, tl_base.files, tl_helpers
from tl_helpers import measures
assert tl_helpers.asset("records").is_dir()
print(sorted({"keras", "tensorflow", "pandas", "matplotlib"} & set(sys.modules)))
"""


def test_what_needs_no_network_loads_no_tensorflow(root):
    call = [sys.executable, "-c", NOTHING_HEAVY]
    assert subprocess.run(call, cwd=root, capture_output=True, text=True, check=True).stdout == "[]\n"


def test_every_submodule_is_found_on_first_use():
    for name in tl_helpers.__all__:
        assert getattr(tl_helpers, name).__name__ == f"tl_helpers.{name}"
    assert {*tl_helpers.__all__, "asset"} <= set(dir(tl_helpers))
    with pytest.raises(AttributeError, match="no attribute 'model'; it has data, "):
        tl_helpers.model  # noqa: B018


def test_experiments_go_by_their_old_name_with_a_warning():
    with pytest.warns(DeprecationWarning, match="tl_helpers.experiments is tl_experiments now") as warned:
        assert tl_helpers.experiments is tl_experiments
    assert [warning.filename for warning in warned] == [__file__]
    with pytest.warns(DeprecationWarning, match="tl_experiments now"):
        from tl_helpers import experiments
    assert experiments is tl_experiments


def test_models_offers_what_the_chapters_call(root):
    """Also what stands in `tl_base` because it holds for any network."""
    pages = "".join(path.read_text(encoding="utf-8") for path in (root / "chapters").glob("*.ipynb"))
    called = set(re.findall(r"(?<![\w.])models\.([a-zA-Z_]+)", pages))
    assert len(called) > 10
    assert called <= set(models.__all__)
    assert all(hasattr(models, name) for name in models.__all__)
