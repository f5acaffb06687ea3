"""Doing a grid: what is missing, in this process, in several, or on a Dask cluster.

Taught in: How fast.
"""

import contextlib
import json
import os
import sys
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from typing import Any, TypedDict, TypeVar, Unpack

import joblib
import pandas as pd
from joblib.externals.loky import process_executor
from tqdm import tqdm

from tl_experiments import fingerprints, recipes
from tl_experiments.grid import Grid, Run, expand
from tl_experiments.log import Log, open_log, so_far
from tl_experiments.names import PLANS, ExperimentError, named
from tl_experiments.plan import MEMORY, batches

Row = Mapping[str, Any]
Work = Callable[[Sequence[Run], int, int | None], Sequence[Row]]
Wanted = dict[str, dict[str, tuple[str, str]]]  # for a run's key and a role: a name and its fingerprint
Task = TypeVar("Task")
Answer = TypeVar("Answer")


class Where(TypedDict, total=False):
    """Which processes do the work, and how much each may keep.

    Attributes
    ----------
    jobs : int
        Processes, of one thread each if there are several; by default 1, this one.
    dask : str or None
        Address of a Dask scheduler, e.g. ``"tcp://10.0.0.5:8786"``, whose workers do the runs. They need this package
        and the data; the records are written here.
    memory : int
        Bytes of activations that each process keeps; by default `plan.MEMORY`.
    """

    jobs: int
    dask: str | None
    memory: int


def run(
    grids: Grid | Iterable[Grid],
    path: str | os.PathLike[str],
    *,
    retry_failed: bool = False,
    progress: bool = True,
    work: Work | None = None,
    **where: Unpack[Where],
) -> pd.DataFrame:
    """Do the runs of a grid that are not recorded yet, and add their rows to the records.

    Parameters
    ----------
    grids : Grid or sequence of Grid
    path : path-like
        Records: a folder, in which each experiment has its file, or one file, whose name has an ending; they are begun
        if they are not there. Interrupted at any moment and called again, the rest is done.
    retry_failed, progress : bool
        Do failed runs again, whose recorded error stands by default; show rate and remaining time.
    work : callable, optional
        Does one batch: ``(runs, memory, threads)`` to rows; by default `workbench.work`.
    **where : Where
        ``jobs``, ``dask`` and ``memory``.

    Returns
    -------
    pandas.DataFrame
        The records of these runs, failed ones included, as `records.load` gives them.

    Raises
    ------
    RecordsError
        If a file cannot be used or written. As `ExperimentError`, if dask is asked for and not installed, or if a
        source, target, teacher or rules of that name were others when rows of the same experiment were made.

    Notes
    -----
    A grid without runs, and runs that failed, are told on the standard error stream. Each ``"module:function"`` is
    called once more at the start, to see what it stands for, though nothing be missing. Taught in: How fast.
    """
    grids = [grids] if isinstance(grids, Grid) else list(grids)
    runs = expand(grids)
    _say_if_empty(runs, grids)
    with open_log(path, retry_failed) as log:
        _do_missing(log, runs, work, progress, where)
    table = so_far(path)
    table = table[table.key.isin({run.key for run in runs})].reset_index(drop=True)
    _say_if_failed(table)
    return table


def _do_missing(log: Log, runs: Sequence[Run], work: Work | None, progress: bool, where: Where) -> None:
    """Do what is missing, and record each batch as soon as it is done."""
    missing = [run for run in runs if run.key not in log.keys]
    wanted = {} if work else _identified(log, runs, missing, where)
    own = sorted({item for names in wanted.values() for item in names.values() if ":" in item[0]})
    results = distribute(work or do, batches(missing), own, **where)
    bar = tqdm(total=len(missing), unit="run", disable=not progress, file=sys.stdout, ncols=88, smoothing=0.1)
    failed = 0
    with bar, contextlib.closing(results):
        for rows in results:
            _check_prints(rows, wanted)
            log.append(rows)
            failed += sum(bool(row["error"]) for row in rows)
            bar.set_postfix_str(f"{failed} failed" if failed else "", refresh=False)
            bar.update(len(rows))


def _say_if_empty(runs: Sequence[Run], grids: Sequence[Grid]) -> None:
    if not runs:
        count = sum(grid.size for grid in grids)
        why = f"all {count} combinations of its values mean nothing" if count else "it is empty, or one of its axes is"
        print(f"The grid has no runs: {why}.", file=sys.stderr)


def _say_if_failed(table: pd.DataFrame) -> None:
    lost = table[table.error != ""]
    if len(lost):
        first = lost.iloc[0]
        which = f"{first.arm}, {first.target}, learning rate {first.learning_rate:g}, seed {first.seed}"
        remedy = "What failed is done again with retry_failed=True (--retry-failed)."
        print(f"{len(lost)} of {len(table)} runs failed. The first: {which}: {first.error} {remedy}", file=sys.stderr)


def _identified(log: Log, runs: Sequence[Run], missing: Sequence[Run], where: Where) -> Wanted:
    """Look what the runs' names stand for now, and refuse if rows of the same experiment were made with something else.

    Returns
    -------
    dict of str to dict
        For the key of a run its names and their fingerprints, by role. What ships is looked at only for runs that are
        missing: complete records need no data.
    """
    lacking = {run.key for run in missing}
    looked_at = [run for run in runs if run.key in lacking or any(map(_is_own, named(run).values()))]
    samples = list({tuple(named(run).items()): run for run in looked_at}.values())
    now = _plans(runs)
    (prints,) = distribute(identify, [samples], **where | Where(jobs=1)) if samples else ([],)
    by_names = {tuple(named(run).items()): by_role for run, by_role in zip(samples, prints, strict=True)}
    wanted: Wanted = {}
    for run in looked_at:
        names = named(run)
        by_role = by_names[tuple(names.items())]
        wanted[run.key] = {role: (name, by_role[role]) for role, name in names.items()}
        now |= {_thing(run, role, name): by_role[role] for role, name in names.items()}
    _refuse_others(log, now)
    return wanted


def _plans(runs: Sequence[Run]) -> dict[tuple[object, ...], str]:
    """Return the fingerprints of the plans of runs: to look at them, none needs to be missing."""
    planned = {run.experiment: run for run in runs if run.experiment in PLANS}
    files = {experiment: PLANS[experiment] for experiment in planned}
    return {_thing(planned[name], "plan", file): fingerprints.of_file(file) for name, file in files.items()}


def rows_in(table: pd.DataFrame) -> list[Row]:
    """Return the rows of a table of records, as `Run.of` takes them."""
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def _is_own(name: str) -> bool:
    return ":" in name and not name.startswith("tl_helpers.")


def _thing(run: Run, role: str, name: str) -> tuple[object, ...]:
    """Return what has one fingerprint: that of rules depends on the images they look at, that of images on size."""
    size = recipes.size_for(run.source, run.target) if role == "target" else {}
    return run.experiment, role, name, run.target if role == "rules" else "", *size.values()


def _refuse_others(log: Log, now: Mapping[tuple[object, ...], str]) -> None:
    """Refuse to go on if sound rows of these experiments were made with other images, another network, another plan."""
    experiments = {str(experiment) for experiment, *_ in now}
    table = log.table[log.table.experiment.isin(experiments) & (log.table.error == "")]
    for row in rows_in(table):
        recorded, run = json.loads(row["fingerprints"]), Run.of(row)
        for role, name in named(run).items():
            is_now, was = now.get(_thing(run, role, name)), recorded.get(role)
            unknown = was is None and role == "plan"  # rows of a plan always say which
            if is_now and (unknown or (was and not fingerprints.agree(is_now, was))):
                drawn = (
                    " A function that trains or draws something new each time is no name for it: let it load a file."
                )
                raise ExperimentError(
                    f"{log.path}: the {role} {name!r} is not the one that runs of the experiment {run.experiment!r} "
                    f"were made with (fingerprint {was}, now {is_now}). Give the experiment another name or another "
                    f"file, or bring back what {name!r} was.{drawn if ':' in name else ''}"
                )


def _check_prints(rows: Sequence[Row], wanted: Wanted) -> None:
    """Refuse rows of a process that found something else behind a name than the first one that looked."""
    for row in rows:
        prints = json.loads(row["fingerprints"])
        for role, (name, expected) in wanted.get(row["key"], {}).items():
            if prints.get(role) != expected:
                raise ExperimentError(
                    f"The {role} {name!r} was another one in the process that did a run (fingerprint "
                    f"{prints.get(role)}) than where the grid was started ({expected}). Nothing of that process is "
                    "recorded. Let the function return the same each time, save its module, and start Python, or the "
                    "cluster's workers, again."
                )


def do(batch: Sequence[Run], memory: int, threads: int | None) -> Sequence[Row]:
    """Do one batch: `workbench.work`, with TensorFlow loaded in the process that computes."""
    from tl_experiments import workbench

    return workbench.work(batch, memory, threads)


def identify(runs: Sequence[Run], memory: int, threads: int | None) -> Sequence[dict[str, str]]:
    """Say what the names of runs stand for: `workbench.identify`, likewise."""
    from tl_experiments import workbench

    return workbench.identify(runs, memory, threads)


def distribute(
    call: Callable[[Task, int, int | None], Answer],
    tasks: Sequence[Task],
    names: Sequence[object] = (),
    *,
    jobs: int = 1,
    dask: str | None = None,
    memory: int = MEMORY,
) -> Generator[Answer, None, None]:
    """Distribute tasks over processes: this one, others on this machine, or a cluster's.

    Parameters
    ----------
    call : callable
        ``(task, memory, threads)``.
    tasks : sequence
    names : sequence
        What ``"module:function"`` names stand for. Processes of an earlier call are used again only if it is the same,
        and the places of data are: they have loaded both.
    jobs, dask, memory
        As in `Where`.

    Yields
    ------
    object
        What the calls return, as soon as each is done.

    Raises
    ------
    ExperimentError
        If dask is asked for and not installed, or there is no such cluster.
    """
    if dask is None and (jobs == 1 or len(tasks) < 2):
        for task in tasks:
            yield call(task, memory, None)
        return
    with contextlib.ExitStack() as stack:
        if dask is not None:
            stack.enter_context(_cluster(dask))
        places = tuple(os.environ.get(place) for place in fingerprints.PLACES)
        loky = {"backend": "loky", "initializer": _keep_worker, "initargs": ((places, tuple(names)),)}
        stack.enter_context(joblib.parallel_config(**{"backend": "dask"} if dask else loky))
        parallel = joblib.Parallel(n_jobs=jobs if dask is None else -1, return_as="generator_unordered")
        threads = 1 if dask is None else None  # a cluster's workers have the threads that its owner gave them
        yield from parallel(joblib.delayed(call)(task, memory, threads) for task in tasks)


def _keep_worker(loaded: object) -> None:
    """Let a process keep its activations: loky renews one that grew by 300 MB, and TensorFlow has to load again.

    What may be loaded stands here only to tell processes apart: joblib renews those that began with another argument.
    """
    process_executor._MAX_MEMORY_LEAK_SIZE = float("inf")  # loky has no public option; `memory` bounds a process


def _cluster(address: str) -> contextlib.AbstractContextManager[object]:
    try:
        from distributed import Client
    except ImportError:
        raise ExperimentError("dask= needs a package more: pip install dask distributed.") from None
    try:
        return Client(address, timeout=10)  # type: ignore[no-untyped-call]  # Dask does not annotate it
    except OSError as error:
        raise ExperimentError(
            f"No Dask scheduler answers at {address} ({error}). Start one: dask scheduler."
        ) from error
