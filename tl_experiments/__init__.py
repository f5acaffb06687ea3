"""Experiments: a grid says what to compare, `run` does what is missing; `tl_helpers.records` reads what came out.

``python -m tl_experiments --help`` explains the command line. Neither this package nor a grid loads TensorFlow;
only doing a run does. Taught in: chapter 4 (Worked example).
"""

from collections.abc import Callable, Sequence

import pandas as pd

from tl_experiments import choices, evidence, replicates, sources
from tl_experiments.cost import estimate
from tl_experiments.grid import Grid, Run, expand
from tl_experiments.names import ExperimentError
from tl_experiments.runner import run
from tl_experiments.worked_example import (
    DEVELOPMENT_SEEDS,
    LEARNING_RATES,
    arm_calls,
    budget,
    report,
    tuning,
)

__all__ = [
    "DEVELOPMENT_SEEDS",
    "LEARNING_RATES",
    "ExperimentError",
    "Grid",
    "Run",
    "arm_calls",
    "budget",
    "estimate",
    "expand",
    "known",
    "planned",
    "run",
]


def known() -> dict[str, Callable[[pd.DataFrame], Sequence[Grid]]]:
    """Name the grids that the command line knows: each takes the records so far and returns grids.

    Returns
    -------
    dict of str to callable

    Notes
    -----
    Taught in: chapter 4 (Worked example), chapter 4.1 (Results) and chapter 7 (Your own photographs).
    """
    return {
        "tuning": tuning,
        "report": report,
        "choice": evidence.choice,
        "reference": evidence.reference,
        "sweep-choice": evidence.sweep_choice,
        "sweep": evidence.sweep,
        "near-sweep-choice": evidence.near_sweep_choice,
        "near-sweep": evidence.near_sweep,
        "explorer-choice": evidence.explorer_choice,
        "explorer": evidence.explorer,
        "examples": choices.examples,
        "sources-choice": sources.choice,
        "sources": sources.report,
        "published-choice": sources.published_choice,
        "published": sources.published,
    }


def planned() -> dict[str, Callable[[pd.DataFrame], Sequence[Grid]]]:
    """Name the grids of the second plan, in the order in which they are done; the command line does them if asked to.

    Returns
    -------
    dict of str to callable
        As for `known`.

    Notes
    -----
    Taught in: chapter 4.1 (Results).
    """
    return dict(replicates.GRIDS)
