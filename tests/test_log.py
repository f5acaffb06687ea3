"""Files of records: what is written stays, whatever happens to the runner."""

import random
import resource
import subprocess
import sys

import pytest
import toy_experiments as toy

from tl_base import ledgers
from tl_experiments import log
from tl_helpers import records
from tl_helpers.records import RecordsError


def test_an_interruption_at_any_byte_loses_one_row_at_most(tmp_path):
    path = tmp_path / "a.csv"
    whole, last = toy.written(path), len(records.LEDGER.line_of(toy.ROWS[-1]))
    cuts = {
        0,
        1,
        5,
        len(records.LEDGER.header) - 1,
        len(records.LEDGER.header),
        len(records.LEDGER.header) + 1,
        len(whole) - 1,
        len(whole) - last,
    }
    for cut in cuts | set(random.Random(0).sample(range(len(whole)), 25)):
        path.write_bytes(whole[:cut])
        if cut not in (len(records.LEDGER.header), len(whole) - last):
            with pytest.raises(RecordsError):
                records.load(path)
        with log.open_log(path) as file:
            assert len(file.keys) == whole[len(records.LEDGER.header) : cut].count(b"\n")
            file.append([row for row in toy.ROWS if row["key"] not in file.keys])
        assert path.read_bytes() == whole


def test_an_interruption_in_a_folder_loses_one_row_of_one_file_at_most(tmp_path):
    rows = [row | {"key": f"{name} {row['key']}", "experiment": name} for name in ("a", "b") for row in toy.ROWS]
    with log.open_log(tmp_path / "runs") as file:
        file.append(rows)
    whole = {path: path.read_bytes() for path in ledgers.files_at(tmp_path / "runs")}
    assert [path.name for path in whole] == ["a.csv", "b.csv"]
    first, second = whole
    for cut in (0, 5, len(records.LEDGER.header), len(whole[second]) - 40, len(whole[second]) - 1):
        second.write_bytes(whole[second][:cut])
        with log.open_log(tmp_path / "runs") as file:
            assert first.read_bytes() == whole[first]
            assert sum(key.startswith("a") for key in file.keys) == len(toy.ROWS)
            file.append([row for row in rows if row["key"] not in file.keys])
        assert {path: path.read_bytes() for path in ledgers.files_at(tmp_path / "runs")} == whole


def test_failed_runs_are_taken_out_of_the_files_in_which_they_stand(tmp_path):
    rows = [row | {"key": f"{name} {row['key']}", "experiment": name} for name in ("a", "b") for row in toy.ROWS]
    with log.open_log(tmp_path / "runs") as file:
        file.append([row | {"error": "lost" if row is rows[-1] else ""} for row in rows])
    before = {path.name: path.read_bytes() for path in ledgers.files_at(tmp_path / "runs")}
    with log.open_log(tmp_path / "runs", retry_failed=True) as file:
        assert file.keys == {row["key"] for row in rows[:-1]}
    after = {path.name: path.read_bytes() for path in ledgers.files_at(tmp_path / "runs")}
    assert after["a.csv"] == before["a.csv"]
    assert after["b.csv"] == b"".join(before["b.csv"].splitlines(keepends=True)[:-1])


def test_a_full_disk_leaves_the_file_whole(tmp_path):
    path = tmp_path / "a.csv"
    before = toy.written(path, toy.ROWS[:2])
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 50, limits[1]))
        with (
            pytest.raises(RecordsError, match=r"1 rows cannot be written .*Make room"),
            log.open_log(path) as file,
        ):
            file.append(toy.ROWS[2:3])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before
    assert toy.written(path, toy.ROWS[2:3]).startswith(before)


def test_two_runners_on_one_file_are_refused(tmp_path):
    path = tmp_path / "a.csv"
    with log.open_log(path), pytest.raises(RecordsError, match="Another runner"), log.open_log(path):
        pass
    with log.open_log(path):
        pass


HOLDS = """
import sys, time
from tl_experiments import log
with log.open_log(sys.argv[1]):
    print("open", flush=True)
    time.sleep(60)
"""


def test_the_lock_of_a_killed_runner_keeps_nobody_away(tmp_path, root):
    path = tmp_path / "a.csv"
    call = [sys.executable, "-c", HOLDS, path]
    with subprocess.Popen(call, stdout=subprocess.PIPE, text=True, env=toy.environment(root)) as other:
        try:
            assert other.stdout.readline() == "open\n"
            with pytest.raises(RecordsError, match=r"Another runner writes to .*a\.csv\. Let it"), log.open_log(path):
                pass
        finally:
            other.kill()
    assert toy.written(path).count(b"\n") == 2 + len(toy.ROWS)


def test_two_runners_are_refused_where_there_is_no_fcntl_as_on_windows(tmp_path, root):
    program = """
import sys
sys.modules["fcntl"] = None
from tl_experiments import log
from tl_helpers.records import RecordsError
with log.open_log(sys.argv[1]):
    try:
        log.open_log(sys.argv[1]).__enter__()
    except RecordsError as error:
        print(error)
with log.open_log(sys.argv[1]):
    print("free again")
"""
    call = [sys.executable, "-c", program, tmp_path / "a.csv"]
    text = subprocess.run(call, check=True, capture_output=True, text=True, env=toy.environment(root)).stdout
    assert text.startswith("Another runner writes to ")
    assert text.endswith("\nfree again\n")


@pytest.mark.slow
def test_killed_at_random_moments_it_loses_no_row_and_does_none_twice(tmp_path, root):
    path = tmp_path / "killed.csv"
    call = [sys.executable, root / "tests" / "toy_experiments.py", path, "25"]
    counts = subprocess.run(call, check=True, capture_output=True, text=True, env=toy.environment(root)).stdout.split()
    assert len(counts) == 25
    assert len(set(counts)) > 10  # the kills fell on different places
    finished = records.load(path)
    expected = {row["key"]: row for row in toy.quick_work(toy.GRID.runs(), 0, None)}
    assert sorted(finished.key) == sorted(expected)
    assert all(row.test_accuracy == expected[row.key]["test_accuracy"] for row in finished.itertuples())
