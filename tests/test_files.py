"""Writing files: whole or not at all, and only where a regular file is or may be."""

import contextlib
import json
import os
import re
import resource
import socket
import stat
import sys
from dataclasses import replace

import numpy as np
import pytest
import toy_experiments as toy

import tl_experiments as experiments
from tl_base import files, ledgers
from tl_experiments import __main__ as command
from tl_experiments import card, log
from tl_helpers import models, records

GRID = replace(toy.GRID, seed=[0])
ROWS = [row for run in toy.GRID.runs()[:3] for row in toy.quick_work([run], 0, None)]


def folder(path):
    path.mkdir()


def device(path):
    """Make a device of our own, which nobody misses, like /dev/full: only root may; others take the system's."""
    if os.geteuid() == 0:
        os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 7))
    else:
        path.symlink_to("/dev/full")


def listener(path):
    with contextlib.chdir(path.parent), socket.socket(socket.AF_UNIX) as end:  # the name of a socket is short
        end.bind(path.name)


WRONG = {
    "a folder": folder,
    "a device": device,
    "a named pipe": os.mkfifo,
    "a socket": listener,
    "a link to": lambda path: path.symlink_to(path.with_name("nowhere")),
    "a folder;": lambda path: (folder(path.with_name("real")), path.symlink_to("real")),
    "cannot be a file": lambda path: path.symlink_to(path.name),  # a circle
}
WRITERS = {
    "records": lambda path: experiments.run(GRID, path, progress=False, work=toy.quick_work),
    "read": records.load,
    "arrays": lambda path: models.save_arrays(path, {"a": np.zeros(3)}),
    "text": lambda path: files.write(path, "text"),
}


def names_in(path):
    return sorted(file.name for file in path.iterdir())


def kind_of(path):
    status = os.lstat(path)
    return stat.S_IFMT(status.st_mode), status.st_ino, status.st_rdev


FOLDERS_TOO = ("records", "read")  # these stand in a folder as well


@pytest.mark.parametrize(
    ("message", "name"),
    [(message, name) for message in WRONG for name in WRITERS if not ("folder" in message and name in FOLDERS_TOO)],
)
def test_nothing_but_a_regular_file_is_written_or_replaced(tmp_path, message, name):
    path, write = tmp_path / "a.csv", WRITERS[name]
    WRONG[message](path)
    before, names = kind_of(path), names_in(tmp_path)
    with pytest.raises((records.RecordsError, files.FileError), match=message.rstrip(";")):
        write(path)
    assert kind_of(path) == before
    assert names_in(tmp_path) == names


@pytest.mark.parametrize("message", WRONG)
@pytest.mark.parametrize("name", FOLDERS_TOO)
def test_nothing_but_regular_files_are_records_in_a_folder(tmp_path, name, message):
    path, write = tmp_path / ledgers.file_of(GRID.experiment), WRITERS[name]
    WRONG[message](path)
    before = kind_of(path)
    with pytest.raises(records.RecordsError, match=message.rstrip(";")):
        write(tmp_path)
    assert kind_of(path) == before


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)
def test_a_folder_that_is_not_there_is_said(tmp_path, write):
    with pytest.raises((records.RecordsError, files.FileError), match=r"there is no folder .*none\. Make it"):
        write(tmp_path / "none" / "a.csv")
    assert names_in(tmp_path) == []
    (tmp_path / "none").mkdir()
    if write is not records.load:
        write(tmp_path / "none" / "a.csv")
        assert (tmp_path / "none" / "a.csv").is_file()


@pytest.mark.parametrize("name", ["a.csv/b.csv", "x" * 300])
def test_a_name_that_cannot_be_one_is_said(tmp_path, name):
    (tmp_path / "a.csv").write_text("text")
    with pytest.raises(files.FileError, match=r"there is no folder|cannot be"):
        files.write(tmp_path / name, "text")


def test_a_link_to_a_file_stays_a_link_and_the_file_is_written(tmp_path):
    (tmp_path / "real").mkdir()
    for name, write in WRITERS.items():
        if name == "read":
            continue
        real, link = tmp_path / "real" / f"{name}.csv", tmp_path / f"{name}.csv"
        real.write_text("" if name == "records" else "old")
        real.chmod(0o640)
        link.symlink_to(f"real/{real.name}")
        write(link)
        assert str(link.readlink()) == f"real/{real.name}"
        assert real.stat().st_size > 3
        assert stat.S_IMODE(real.stat().st_mode) == 0o640
    assert sorted(p.name for p in tmp_path.iterdir()) == ["arrays.csv", "real", "records.csv", "text.csv"]
    assert len(records.load(tmp_path / "records.csv")) == len(GRID.runs())


def test_two_runners_on_one_file_are_refused_under_two_names_too(tmp_path):
    (tmp_path / "link.csv").symlink_to("a.csv")
    with log.open_log(tmp_path / "a.csv") as file:
        file.append(ROWS)
        with pytest.raises(records.RecordsError, match="Another runner"), log.open_log(tmp_path / "link.csv"):
            pass


def test_a_runner_on_a_folder_and_one_on_a_file_in_it_are_refused(tmp_path):
    with log.open_log(tmp_path / "runs") as folder:
        folder.append(ROWS)
        for path in (tmp_path / "runs", tmp_path / "runs" / "kill.csv"):
            with pytest.raises(records.RecordsError, match="Another runner"), log.open_log(path):
                pass
    with (
        log.open_log(tmp_path / "runs" / "kill.csv"),
        pytest.raises(records.RecordsError, match=r"Another runner writes to .*kill\.csv"),
        log.open_log(tmp_path / "runs"),
    ):
        pass
    (tmp_path / "link").symlink_to("runs")
    with (
        log.open_log(tmp_path / "link") as folder,
        log.open_log(tmp_path / "runs" / "new.csv"),
        pytest.raises(records.RecordsError, match=r"Another runner writes to .*new\.csv"),
    ):
        folder.append([row | {"experiment": "new"} for row in ROWS])
    (tmp_path / "runs" / "new.csv").unlink()
    with log.open_log(tmp_path / "runs") as folder:
        with log.open_log(tmp_path / "runs" / "new.csv") as other:
            other.append([row | {"experiment": "new"} for row in ROWS])
        with pytest.raises(records.RecordsError, match="begun it in the meantime"):
            folder.append([row | {"experiment": "new"} for row in ROWS])


def test_what_fails_on_the_way_leaves_the_old_file_and_nothing_beside_it(tmp_path):
    path = tmp_path / "a.txt"
    files.write(path, "old")
    with pytest.raises(UnicodeEncodeError):
        files.write(path, "half \ud800")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))  # as if the disk were full
    try:
        with pytest.raises(files.FileError, match=r"cannot be written .* is still there"):
            files.write(path, "x" * 2000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_text() == "old"
    assert names_in(tmp_path) == ["a.txt"]


def test_a_card_is_not_written_over_what_is_no_file(tmp_path):
    with log.open_log(tmp_path / "a.csv") as file:
        file.append(ROWS)
    os.mkfifo(tmp_path / "a.json")
    with pytest.raises(files.FileError, match="a named pipe"):
        card.write_card(tmp_path / "a.csv")
    (tmp_path / "a.json").unlink()
    card.write_card(tmp_path / "a.csv")
    assert json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))["runs"] == len(ROWS)


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is Linux's")
def test_the_command_says_that_a_device_is_no_file(capsys):
    before = kind_of("/dev/full")
    assert command.main(["tuning", "--dry-run", "--output", "/dev/full"]) == 1
    assert "/dev/full is a device; expected a file" in capsys.readouterr().err
    assert kind_of("/dev/full") == before


def test_the_tools_write_through_the_same_door(root):
    """No tool and no module replaces a file on its own: what `files` refuses is refused everywhere."""
    folders = (root / "tools", *root.glob("tl_*"))
    own = [path for folder in folders for path in folder.rglob("*.py")]
    replacing = [path.name for path in own if re.search(r"\.(part|draft)\b(?!\()", path.read_text(encoding="utf-8"))]
    assert replacing == ["files.py"]
