"""`make setup` with a stand-in for Python that installs nothing and writes down how it was called."""

import os
import shutil
import subprocess
from types import SimpleNamespace

import pytest

STAND_IN = """#!/bin/sh
case "$*" in
  *"sys.exit(not"*) [ ! -f old ]; exit ;;
  *--version*) echo "Python 3.8.10"; exit ;;
  *"import venv"*) [ ! -f without-venv ]; exit ;;
esac
echo "$*" >> calls
case "$*" in
  "-m venv"*) rm -rf .venv; mkdir -p .venv/bin; cp "$0" .venv/bin/python ;;
  "-m pip"*) [ ! -f no-network ] ;;
esac
"""

pytestmark = pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")


@pytest.fixture
def clone(root, tmp_path):
    """Return a fresh clone with a stand-in for Python; `make()` returns the finished process and the new calls."""
    folder = tmp_path / "clone"
    folder.mkdir()
    for name in ("Makefile", "requirements.txt", "constraints.txt", "pyproject.toml"):
        shutil.copy(root / name, folder)
    python = tmp_path / "python"
    python.write_text(STAND_IN)
    python.chmod(0o755)

    def make():
        (folder / "calls").write_text("")
        done = subprocess.run(["make", "setup", f"PYTHON={python}"], cwd=folder, capture_output=True, text=True)
        return done, [call.split()[1] for call in (folder / "calls").read_text().splitlines()]

    return SimpleNamespace(folder=folder, make=make, stamp=folder / ".venv/installed")


def test_a_second_call_installs_nothing(clone):
    done, calls = clone.make()
    assert (done.returncode, calls) == (0, ["venv", "pip"]), done.stdout + done.stderr
    assert clone.make()[1] == []


def test_other_pins_are_installed_over_what_is_there(clone):
    clone.make()
    pins = clone.folder / "requirements.txt"
    pins.write_text(pins.read_text() + "# changed\n")
    later = clone.stamp.stat().st_mtime + 10
    os.utime(pins, (later, later))
    assert clone.make()[1] == ["pip"]


def test_an_interrupted_set_up_is_begun_anew(clone):
    broken = clone.folder / "no-network"
    broken.touch()
    done, calls = clone.make()
    assert done.returncode != 0
    assert calls == ["venv", "pip"]
    assert not clone.stamp.exists()
    broken.unlink()
    done, calls = clone.make()
    assert (done.returncode, calls) == (0, ["venv", "pip"])
    assert clone.make()[1] == []


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("old", ["Python 3.11, 3.12 or 3.13 is needed. Tried:", "(Python 3.8.10);", "make setup PYTHON="]),
        ("without-venv", ["cannot make virtual environments", "apt install python3-venv"]),
    ],
)
def test_an_unfit_python_is_named_with_what_to_do(clone, fault, told):
    (clone.folder / fault).touch()
    done, calls = clone.make()
    assert done.returncode != 0
    assert calls == []
    assert [part for part in told if part not in done.stdout] == []
    assert not (clone.folder / ".venv").exists()
    (clone.folder / fault).unlink()
    assert clone.make()[0].returncode == 0
