"""Doing a grid: what is missing, in this process, in several, or on a Dask cluster; and what that will cost.

Taught in: How fast.
"""

import contextlib
import json
import os
import sys
from pathlib import Path

import joblib
from joblib.externals.loky import process_executor
from tqdm import tqdm

from tl_experiments import fingerprints
from tl_experiments.grid import Grid, Run, expand
from tl_experiments.log import open_log
from tl_experiments.names import ExperimentError, named
from tl_experiments.plan import MEMORY, batches
from tl_helpers import records


def run(grids, path, *, jobs=1, dask=None, memory=MEMORY, retry_failed=False, progress=True, work=None):
    """Do the runs of a grid that a file of records lacks, and add their rows to it.

    Parameters
    ----------
    grids : Grid or sequence of Grid
    path : path-like
        File of records; it is begun if it is not there. Interrupted at any moment and called again, the rest is done.
    jobs : int
        Processes, of one thread each if there are several.
    dask : str, optional
        Address of a Dask scheduler, e.g. ``"tcp://10.0.0.5:8786"``, whose workers do the runs. They need this package
        and the data; the records are written here.
    memory : int
        Bytes of activations that each process keeps.
    retry_failed : bool
        Do failed runs again. By default their recorded error stands.
    progress : bool
        Show rate and remaining time.
    work : callable, optional
        Does one batch: ``(runs, memory, threads)`` to rows; by default `workbench.work`.

    Returns
    -------
    pandas.DataFrame
        The records of these runs, failed ones included, as `records.load` gives them.

    Raises
    ------
    ExperimentError
        If the file cannot be used or written, or dask is asked for and not installed; if a source, target, teacher or
        rules of that name were others when rows of the same experiment were made. Another experiment may use them.

    Notes
    -----
    A grid without runs, and runs that failed, are told on the standard error stream. Each ``"module:function"`` is
    called once more at the start, to see what it stands for, though nothing be missing. Taught in: How fast.
    """
    grids, path = [grids] if isinstance(grids, Grid) else list(grids), Path(path)
    runs = expand(grids)
    if not runs:
        count = sum(grid.size for grid in grids)
        told = f"all {count} combinations of its values mean nothing" if count else "it is empty, or one of its axes is"
        print(f"The grid has no runs: {told}.", file=sys.stderr)
    with open_log(path, retry_failed) as log:
        missing = [run for run in runs if run.key not in log.keys]
        wanted = {} if work else _identified(log, runs, missing, dask, memory)
        own = sorted({told for each in wanted.values() for told in each.values() if ":" in told[0]})
        results = spread(work or do, batches(missing), jobs, dask, memory, own)
        bar = tqdm(total=len(missing), unit="run", disable=not progress, file=sys.stdout, ncols=88, smoothing=0.1)
        failed = 0
        with bar, contextlib.closing(results):
            for rows in results:
                _check_prints(rows, wanted)
                log.append(rows)
                failed += sum(bool(row["error"]) for row in rows)
                bar.set_postfix_str(f"{failed} failed" if failed else "", refresh=False)
                bar.update(len(rows))
    table = records.load(path)
    table = table[table.key.isin({run.key for run in runs})].reset_index(drop=True)
    lost = table[table.error != ""]
    if len(lost):
        first = lost.iloc[0]
        which = f"{first.arm}, {first.target}, learning rate {first.learning_rate:g}, seed {first.seed}"
        remedy = "What failed is done again with retry_failed=True (--retry-failed)."
        print(f"{len(lost)} of {len(table)} runs failed. The first: {which}: {first.error} {remedy}", file=sys.stderr)
    return table


def _identified(log, runs, missing, dask, memory):
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
    if not samples:
        return {}
    (prints,) = spread(identify, [samples], dask=dask, memory=memory)
    by_names = {tuple(named(run).items()): told for run, told in zip(samples, prints, strict=True)}
    wanted, now = {}, {}
    for run in looked_at:
        names = named(run)
        told = by_names[tuple(names.items())]
        wanted[run.key] = {role: (name, told[role]) for role, name in names.items()}
        now |= {_thing(run, role, name): told[role] for role, name in names.items()}
    _refuse_others(log, now)
    return wanted


def _is_own(name):
    return ":" in name and not name.startswith("tl_helpers.")


def _thing(run, role, name):
    """Return what has one fingerprint: that of rules depends on the images that they look at."""
    return run.experiment, role, name, run.target if role == "rules" else ""


def _refuse_others(log, now):
    """Refuse to go on if sound rows of these experiments were made with other images, another network, other rules."""
    experiments = {experiment for experiment, *_ in now}
    table = log.table[log.table.experiment.isin(experiments) & (log.table.error == "")]
    for row in table.to_dict("records"):
        told, run = json.loads(row["fingerprints"]), Run.of(row)
        for role, name in named(run).items():
            is_now, was = now.get(_thing(run, role, name)), told.get(role)
            if is_now and was and is_now != was:
                drawn = (
                    " A function that trains or draws something new each time is no name for it: let it load a file."
                )
                raise ExperimentError(
                    f"{log.path}: the {role} {name!r} is not the one that runs of the experiment {run.experiment!r} "
                    f"were made with (fingerprint {was}, now {is_now}). Give the experiment another name or another "
                    f"file, or bring back what {name!r} was.{drawn if ':' in name else ''}"
                )


def _check_prints(rows, wanted):
    """Refuse rows of a process that found something else behind a name than the first one that looked."""
    for row in rows:
        told = json.loads(row["fingerprints"])
        for role, (name, expected) in wanted.get(row["key"], {}).items():
            if told.get(role) != expected:
                raise ExperimentError(
                    f"The {role} {name!r} was another one in the process that did a run (fingerprint {told.get(role)}) "
                    f"than where the grid was started ({expected}). Nothing of that process is recorded. Let the "
                    "function return the same each time, save its module, and start Python, or the cluster's workers, "
                    "again."
                )


def do(batch, memory, threads):
    """Do one batch: `workbench.work`, with TensorFlow loaded in the process that computes."""
    from tl_experiments import workbench

    return workbench.work(batch, memory, threads)


def identify(runs, memory, threads):
    """Say what the names of runs stand for: `workbench.identify`, likewise."""
    from tl_experiments import workbench

    return workbench.identify(runs, memory, threads)


def spread(call, tasks, jobs=1, dask=None, memory=MEMORY, names=()):
    """Call a function for each of many tasks: here, in other processes, or on a cluster.

    Parameters
    ----------
    call : callable
        ``(task, memory, threads)``.
    tasks : sequence
    jobs, dask, memory
        As for `run`.
    names : sequence
        What ``"module:function"`` names stand for. Processes of an earlier call are used again only if it is the same,
        and the places of data are: they have loaded both.

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
        how = {"backend": "loky", "initializer": _keep_worker, "initargs": ((places, tuple(names)),)}
        how = {"backend": "dask"} if dask else how
        stack.enter_context(joblib.parallel_config(**how))
        parallel = joblib.Parallel(n_jobs=jobs if dask is None else -1, return_as="generator_unordered")
        threads = 1 if dask is None else None  # a cluster's workers have the threads that its owner gave them
        yield from parallel(joblib.delayed(call)(task, memory, threads) for task in tasks)


def _keep_worker(loaded):
    """Let a process keep its activations: loky renews one that grew by 300 MB, and TensorFlow has to load again.

    What may be loaded stands here only to tell processes apart: joblib renews those that began with another argument.
    """
    process_executor._MAX_MEMORY_LEAK_SIZE = float("inf")  # `memory` bounds what a process keeps


def _cluster(address):
    try:
        from distributed import Client
    except ImportError:
        raise ExperimentError("dask= needs a package more: pip install dask distributed.") from None
    try:
        return Client(address, timeout=10)
    except OSError as error:
        raise ExperimentError(
            f"No Dask scheduler answers at {address} ({error}). Start one: dask scheduler."
        ) from error
