"""The command line of the experiments."""

import subprocess
import sys

import pytest
import toy_experiments as toy

import tl_experiments as experiments
from tl_experiments import __main__ as command


def test_help_names_the_grids_and_the_options(capsys):
    with pytest.raises(SystemExit):
        command.main(["--help"])
    text = capsys.readouterr().out
    assert all(word in text for word in ("tuning", "report", "--dry-run", "--jobs", "--dask", "--output", "Ctrl-C"))


def test_neither_help_nor_a_grid_loads_tensorflow(root):
    program = "import sys; import tl_experiments as experiments; experiments.expand(experiments.known()['tuning']()); "
    program += "from tl_experiments import __main__; print('tensorflow' in sys.modules)"
    call = [sys.executable, "-c", program]
    assert (
        subprocess.run(call, check=True, capture_output=True, text=True, env=toy.environment(root)).stdout == "False\n"
    )


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [(KeyboardInterrupt, 130, "goes on from there"), (experiments.ExperimentError("no disk"), 1, "no disk")],
)
def test_the_command_ends_with_a_sentence(monkeypatch, capsys, tmp_path, error, status, text):
    def run(*arguments, **options):
        raise error

    monkeypatch.setattr(command, "run", run)
    assert command.main(["tuning", "--output", str(tmp_path / "a.csv")]) == status
    assert text in "".join(capsys.readouterr())


def test_a_report_needs_its_tuning_first(capsys, tmp_path):
    assert command.main(["report", "--output", str(tmp_path / "a.csv")]) == 1
    assert "No tuning record" in capsys.readouterr().err


def test_an_unknown_grid_is_refused(capsys):
    with pytest.raises(SystemExit):
        command.main(["tunning"])
    assert "there are tuning, report" in capsys.readouterr().err
