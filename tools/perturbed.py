"""Perturbations of what was measured, for `mutants`: of the recorded runs, and of scores that a page keeps by name.

Where nothing else is said, a row's scores are its accuracies, its learning curve, its time and what else was measured.
"""

import copy
import dataclasses
import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd

from tl_experiments import claims, replicates

ACCURACIES = ["validation_accuracy", "test_accuracy"]
SCORES = [*ACCURACIES, "history", "measures", "seconds"]
SAME = ["target", "labels_per_class", "seed", "label_noise", "trial"]  # what two rows to be compared have in common
SPREAD, LEAD = 0.04, 0.002  # of a lead that no interval tells from none
Rows = Callable[[pd.DataFrame], pd.DataFrame]


@dataclass(frozen=True)
class Perturbation:
    """What is perturbed, in words; how the records change, and how the value of one name that training has left."""

    words: str
    of_table: Rows = lambda table: table
    name: str = ""
    of_value: Callable[[Any], Any] = lambda value: value

    def __str__(self) -> str:
        return self.words


def _numbers_moved(value: Any, by: float) -> Any:
    """Add to all numbers of a JSON text's content but the steps."""
    if isinstance(value, Mapping):
        return {key: one if key in ("steps", "seconds") else _numbers_moved(one, by) for key, one in value.items()}
    if isinstance(value, list):
        return [_numbers_moved(one, by) for one in value]
    return value + by if isinstance(value, Real) and not isinstance(value, bool) else value


def _moved(table: pd.DataFrame, by: pd.Series) -> pd.DataFrame:
    """Add to the scores of the rows that `by` has, in units of accuracy; seconds change by the same share."""
    table = table.copy()
    for name in ACCURACIES:
        table[name] = table[name].add(by, fill_value=0).where(table[name].notna())
    table["seconds"] = table.seconds * (1 + by.reindex(table.index, fill_value=0.0))
    for name in ("history", "measures"):
        texts = table.loc[by.index, name]
        table.loc[by.index, name] = [
            json.dumps(_numbers_moved(json.loads(text), by[i])) if text else text for i, text in texts.items()
        ]
    return table


def _chosen(table: pd.DataFrame, experiment: str, arm: str) -> pd.DataFrame:
    return table[(table.experiment == experiment) & (table.arm == arm)]


def shaken(arms: Sequence[tuple[str, str]]) -> Perturbation:
    """Add something else to each row of some arms, each named with its experiment, to see what they reach.

    It is much, so that what is counted or named by rank changes too.
    """

    def of_table(table: pd.DataFrame) -> pd.DataFrame:
        rows = table[pd.MultiIndex.from_frame(table[["experiment", "arm"]]).isin(arms)]
        return _moved(table, pd.Series(np.random.default_rng(0).uniform(-1, 1, len(rows)), rows.index))

    return Perturbation(f"{len(arms)} arms shaken, the first is {arms[0]}", of_table)


def moved(experiment: str, arm: str, points: int) -> Perturbation:
    """Add points of accuracy to an arm."""

    def of_table(table: pd.DataFrame) -> pd.DataFrame:
        return _moved(table, pd.Series(points / 100, _chosen(table, experiment, arm).index))

    return Perturbation(f"{experiment}: {points:+d} points for {arm}", of_table)


def _with_trials(rows: pd.DataFrame) -> pd.DataFrame:
    """Give the trials that an arm had with one seed a number each, and full sets of labels one that equals itself."""
    rows = rows.assign(labels_per_class=rows.labels_per_class.astype(object).where(rows.labels_per_class.notna(), -1))
    return rows.assign(trial=rows.groupby(["source", "arm", *SAME[:-1]]).cumcount())


def _partners(ours: pd.DataFrame, theirs: pd.DataFrame, same: Sequence[str]) -> pd.Series:
    """Return for each of our rows the index of the one that it is compared with, where there is one."""
    theirs = theirs.drop_duplicates(list(same)).reset_index().set_index(list(same))["index"]
    keys = pd.MultiIndex.from_frame(ours[list(same)])
    return pd.Series(theirs.reindex(keys).to_numpy(), ours.index).dropna().astype(int)


def _of_arm(table: pd.DataFrame, experiment: str, a: str, b: str) -> pd.Series:
    ours, theirs = (_with_trials(_chosen(table, experiment, arm)) for arm in (a, b))
    found = _partners(ours, theirs, ["source", *SAME])  # of the same source; else a baseline of the same target
    return found.combine_first(_partners(ours, theirs, SAME)).astype(int)


def _handed(table: pd.DataFrame, source: pd.DataFrame, to: pd.Series) -> pd.DataFrame:
    """Give rows the scores of others; what only they have measured stays theirs."""
    table = table.copy()
    own = table.loc[to.index, "measures"]
    table.loc[to.index, SCORES] = source.loc[to.to_numpy(), SCORES].to_numpy()
    table.loc[to.index, "measures"] = [
        json.dumps(json.loads(mine or "{}") | json.loads(new or "{}")) if mine else new
        for mine, new in zip(own, table.loc[to.index, "measures"], strict=True)
    ]
    return table.astype({name: table[name].dtype if name in ("history", "measures") else float for name in SCORES})


def given(experiment: str, a: str, b: str) -> Perturbation:
    """Give an arm the scores of another one: what it gains over that one is zero."""

    def of_table(table: pd.DataFrame) -> pd.DataFrame:
        return _handed(table, table, _of_arm(table, experiment, a, b))

    return Perturbation(f"{experiment}: {a} has the scores of {b}", of_table)


def blurred(experiment: str, a: str, b: str, sign: int) -> Perturbation:
    """Give an arm the scores of another one with a lead, or a lag, far below the spread of the seeds."""

    def of_table(table: pd.DataFrame) -> pd.DataFrame:
        pairs = _of_arm(table, experiment, a, b)
        rows = _with_trials(table.loc[pairs.index])
        rows = rows.assign(kind=rows.source.str.partition("#")[0], unit=_units(rows, experiment))
        by = rows.groupby(["kind", *[name for name in SAME if name != "seed"]]).unit.transform(_leads, sign=sign)
        return _moved(_handed(table, table, pairs), by.astype(float))

    side = "little ahead of" if sign > 0 else "little behind"
    return Perturbation(f"{experiment}: {a} is {side} {b}, not told apart", of_table)


def _units(rows: pd.DataFrame, experiment: str) -> list[int]:
    """Return what an interval counts as one: a training of the source where draws belong to trainings, else a seed."""
    if experiment not in claims.REPORTED:
        return rows.seed.tolist()
    networks = rows.source.map(replicates.network_of)
    return [replicates.training_of(network, draw) for network, draw in zip(networks, rows.seed, strict=True)]


def _leads(units: pd.Series, sign: int) -> np.ndarray:
    """Return one lead a unit: up and down by turns, with a small mean."""
    turns = np.where(units.rank(method="dense") % 2, 1.0, -1.0)
    return SPREAD * (turns - turns.mean()) + sign * LEAD


def swapped(experiment: str, a: str, b: str) -> Perturbation:
    """Exchange the scores of two arms."""

    def of_table(table: pd.DataFrame) -> pd.DataFrame:
        there, back = _of_arm(table, experiment, a, b), _of_arm(table, experiment, b, a)
        return _handed(_handed(table, table, there), table, back)

    return Perturbation(f"{experiment}: {a} and {b} swapped", of_table)


def sources_swapped(experiment: str, one: str, other: str) -> Perturbation:
    """Exchange the scores of two sources, arm by arm."""

    def of_table(table: pd.DataFrame) -> pd.DataFrame:
        rows = _with_trials(table[table.experiment == experiment])
        sides = [rows[rows.source == name] for name in (one, other)]
        there, back = (_partners(*pair, ["arm", *SAME]) for pair in (sides, sides[::-1]))
        return _handed(_handed(table, table, there), table, back)

    return Perturbation(f"{experiment}: the sources {one} and {other} swapped", of_table)


def _key(key: Any) -> tuple[Any, ...]:
    return key if isinstance(key, tuple) else (key,)


def _alike(values: Sequence[Any]) -> bool:
    """Tell whether values are of one kind, so that they could be exchanged."""
    return len(values) > 1 and len({type(value) for value in values}) == 1 and not callable(values[0])


def _is_result(value: Any) -> bool:
    return all(hasattr(value, name) for name in ("model", "validation_accuracy", "class_names"))


def keeps_scores(value: Any) -> bool:
    """Tell whether a value is a mapping whose values are of one kind (scores, or results, by name), or a result."""
    return _is_result(value) or (isinstance(value, Mapping) and _alike(list(value.values())))


def _untrained(result: Any) -> Any:
    """Return a result whose network has learned nothing."""
    from tl_base import clones  # loads TensorFlow, which most pages do without

    guess = 1 / len(result.class_names)
    return dataclasses.replace(result, model=clones.reseeded(result.model, 1), validation_accuracy=guess)


def shaken_value(name: str) -> Perturbation:
    """Exchange all values of a mapping in a circle, or take away what a network has learned, to see what they reach."""

    def of_value(value: Any) -> Any:
        if _is_result(value):
            return _untrained(value)
        return dict(zip(value, [*list(value.values())[1:], next(iter(value.values()))], strict=True))

    return Perturbation(f"{name}: all shaken", name=name, of_value=of_value)


def _pairs(value: Mapping[Any, Any]) -> Iterator[list[tuple[Any, Any]]]:
    """Yield the exchanges of a mapping: one part of its keys by another, where the rest is the same."""
    keys = list(value)
    for part in range(min(map(len, map(_key, keys)))):
        kinds = list(dict.fromkeys(_key(key)[part] for key in keys))
        for a, b in itertools.permutations(kinds, 2):
            where = {_key(key): key for key in keys}
            theirs = {key: (*key[:part], b, *key[part + 1 :]) for key in where if key[part] == a}
            if all(key in where for key in theirs.values()):
                yield [(where[mine], where[other]) for mine, other in theirs.items()]


def _is_numbers(value: Any) -> bool:
    return isinstance(value, Real) or (isinstance(value, list) and all(isinstance(one, Real) for one in value))


def of_names(name: str, value: Any) -> Iterator[tuple[Perturbation, list[Perturbation]]]:
    """Yield perturbations of a mapping, one name having the scores of another, with what blurs each; or of a result."""
    if _is_result(value):
        yield Perturbation(f"{name} has learned nothing", name=name, of_value=_untrained), []
        return
    for pairs in _pairs(value):
        (a, b), words = pairs[0], f"{name}: "

        def given_value(old: Mapping[Any, Any], pairs: Any = pairs, sign: int = 0) -> dict[Any, Any]:
            new = {key: copy.copy(one) for key, one in old.items()}
            for (mine, other), lead in zip(pairs, _leads(pairs, sign), strict=True):
                theirs = old[other]
                if not sign:
                    new[mine] = copy.copy(theirs)
                elif isinstance(theirs, list):
                    new[mine] = [one + more for one, more in zip(theirs, _leads(theirs, sign), strict=True)]
                else:
                    new[mine] = theirs + lead
            return new

        blurs = []
        if _is_numbers(value[b]):
            for sign in (1, -1):
                side = "little ahead of" if sign > 0 else "little behind"
                change = lambda old, f=given_value, s=sign: f(old, sign=s)  # noqa: E731
                blurs.append(Perturbation(f"{words}{a} is {side} {b}", name=name, of_value=change))
        yield Perturbation(f"{words}{a} has what {b} has", name=name, of_value=given_value), blurs
