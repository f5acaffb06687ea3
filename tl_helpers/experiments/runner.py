"""Doing a grid: what is missing, in this process, in several, or on a Dask cluster; and what that will cost.

Taught in: How fast.
"""

import contextlib
import sys
from pathlib import Path

import joblib
from joblib.externals.loky import process_executor
from tqdm import tqdm

from tl_helpers.experiments.grid import ExperimentError, expand
from tl_helpers.experiments.log import open_log, records
from tl_helpers.experiments.plan import MEMORY, batches


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
        The records of these runs, failed ones included, as `records` gives them.

    Raises
    ------
    ExperimentError
        If the file cannot be used or written, or dask is asked for and not installed.

    Notes
    -----
    Taught in: How fast.
    """
    runs, path = expand(grids), Path(path)
    with open_log(path, retry_failed) as log:
        missing = [run for run in runs if run.key not in log.keys]
        results = spread(work or do, batches(missing), jobs, dask, memory)
        bar = tqdm(total=len(missing), unit="run", disable=not progress, file=sys.stdout, ncols=88, smoothing=0.1)
        failed = 0
        with bar, contextlib.closing(results):
            for rows in results:
                log.append(rows)
                failed += sum(bool(row["error"]) for row in rows)
                bar.set_postfix_str(f"{failed} failed" if failed else "", refresh=False)
                bar.update(len(rows))
    table = records(path)
    return table[table.key.isin({run.key for run in runs})].reset_index(drop=True)


def do(batch, memory, threads):
    """Do one batch: `workbench.work`, with TensorFlow loaded in the process that computes."""
    from tl_helpers.experiments import workbench

    return workbench.work(batch, memory, threads)


def spread(call, tasks, jobs=1, dask=None, memory=MEMORY):
    """Call a function for each of many tasks: here, in other processes, or on a cluster.

    Parameters
    ----------
    call : callable
        ``(task, memory, threads)``.
    tasks : sequence
    jobs, dask, memory
        As for `run`.

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
        how = {"backend": "loky", "initializer": _keep_worker} if dask is None else {"backend": "dask"}
        stack.enter_context(joblib.parallel_config(**how))
        parallel = joblib.Parallel(n_jobs=jobs if dask is None else -1, return_as="generator_unordered")
        threads = 1 if dask is None else None  # a cluster's workers have the threads that its owner gave them
        yield from parallel(joblib.delayed(call)(task, memory, threads) for task in tasks)


def _keep_worker():
    """Let a process keep its activations: loky renews one that grew by 300 MB, and TensorFlow has to load again."""
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
