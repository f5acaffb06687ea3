"""Compute recorded runs that are missing: `make records`.

GRID is one or more of:
{grids}

or of the second plan, in this order, since each chooses for those after it (some six hours of one process for all):
{planned}

Without GRID: all of the first list, in this order. What is recorded is not done again; stop it any time (Ctrl-C) and
give the same command to go on. A run that fails has its error recorded; --retry-failed does it again.

Try:
  python -m tl_experiments --dry-run               list the missing runs and estimate their cost
  python -m tl_experiments tuning --jobs 2         two processes of one thread each
  python -m tl_experiments --repeat 20             do 20 recorded runs again and compare
  python -m tl_experiments --dask tcp://host:8786  on the workers of a Dask cluster; records are written here
"""

import argparse
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pandas as pd

from tl_base.files import FileError
from tl_base.pictures import DataError
from tl_experiments import Grid, estimate, expand, known, planned, run
from tl_experiments.card import TOLERANCE, repeat, write_card
from tl_experiments.log import so_far
from tl_experiments.names import ExperimentError
from tl_experiments.runner import Where
from tl_helpers import asset, records
from tl_helpers.records import RecordsError


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return its exit status."""
    grids, parser = known() | planned(), _parser()
    options = parser.parse_args(arguments)
    unknown = [name for name in options.grids if name not in grids]
    if unknown:
        parser.error(f"no grid is called {unknown[0]!r}; there are {', '.join(grids)}")
    if options.repeat is not None and options.repeat < 1:
        parser.error(f"--repeat does at least one run again; found {options.repeat}")
    where = Where(jobs=options.jobs, dask=options.dask, memory=int(options.memory * 2**30))
    try:
        if options.repeat:
            return _repeat(options, where)
        for name in options.grids or known():
            _do(name, grids[name], options, where)
        if not options.dry_run:
            write_card(options.output)
    except KeyboardInterrupt:
        print(f"\nStopped. What is done stands in {options.output}; the same command goes on from there.")
        return 130
    except (RecordsError, DataError, FileError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "python -m tl_experiments",
        description=(__doc__ or "").format(grids=_listed(known()), planned=_listed(planned())),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("grids", nargs="*", metavar="GRID", help="which grids; see above")
    parser.add_argument(
        "--output",
        type=Path,
        default=asset("records"),
        help="folder of records, one file an experiment, or a single file (default: the folder that ships)",
    )
    parser.add_argument("--dry-run", action="store_true", help="do nothing but list the missing runs and their cost")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes, of one thread each if several")
    parser.add_argument("--dask", metavar="ADDRESS", help="scheduler of a Dask cluster (pip install dask distributed)")
    parser.add_argument("--memory", type=float, default=1.0, metavar="GB", help="activations kept by each process")
    parser.add_argument("--repeat", type=int, metavar="N", help="add nothing; do N recorded runs again and compare")
    parser.add_argument("--retry-failed", action="store_true", help="do runs with a recorded error again")
    return parser


def _listed(grids: Mapping[str, Callable[[pd.DataFrame], Sequence[Grid]]]) -> str:
    help_of = {name: (make.__doc__ or "").splitlines()[0] for name, make in grids.items()}
    lines = [f"  {name:<19}  {line}" for name, line in help_of.items()]
    return "\n".join(textwrap.fill(line, 120, subsequent_indent=" " * 23) for line in lines)


def _repeat(options: argparse.Namespace, where: Where) -> int:
    table = repeat(records.load(options.output), options.repeat, **where)
    print(table.to_string(index=False, float_format="{:.4f}".format))
    wrong = table[~(table.difference.abs() <= TOLERANCE)]
    print(f"{len(table) - len(wrong)} of {len(table)} runs lie within {TOLERANCE} of their record.")
    return 1 if len(wrong) else 0


def _do(name: str, make: Callable[[pd.DataFrame], Sequence[Grid]], options: argparse.Namespace, where: Where) -> None:
    path = options.output
    recorded = so_far(path)
    try:
        grids = make(recorded)
    except ExperimentError as error:
        if not options.dry_run:
            raise
        print(f"{name}: waits for what is chosen before, and is not priced. {error}", flush=True)
        return
    runs, combinations = expand(grids), sum(grid.size for grid in grids)
    done = set(recorded.key)
    missing = sum(run.key not in done for run in runs)
    print(f"{name}: {len(runs)} runs; {missing} are missing in {path}", flush=True)
    if combinations > len(runs):
        print(f"{combinations - len(runs)} combinations mean nothing, or the same as another, and are left out")
    if options.dry_run and missing:
        costs = estimate(grids, path, **where)
        print(costs.to_string(index=False, float_format="{:.1f}".format))
        print(f"in all about {costs.seconds.sum() / 60:.1f} minutes with jobs={options.jobs}")
    elif missing or options.retry_failed:
        table = run(grids, path, retry_failed=options.retry_failed, **where)
        for row in table[table.error != ""].itertuples():
            print(f"failed: {row.arm}, {row.target}, rate {row.learning_rate:g}, seed {row.seed}: {row.error}")


if __name__ == "__main__":
    sys.exit(main())
