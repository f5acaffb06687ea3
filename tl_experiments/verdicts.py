"""What the records say of the hypotheses: one contrast each, Holm over all, the same words for both sides.

Taught in: chapter 4.1 (Results) and What the papers claim, and what shows here.
"""

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tl_experiments import contrasts, replicates, trainings
from tl_experiments.claims import Claim, load
from tl_experiments.contrasts import Estimate
from tl_experiments.names import ExperimentError

TESTED = {"far": 10_000, "near": 5_000}  # test images


@dataclass(frozen=True)
class Found:
    """What the records say of one claim.

    Attributes
    ----------
    claim : Claim
    estimate : contrasts.Estimate
        In the claim's unit, of all runs.
    alive : contrasts.Estimate or None
        Without collapsed runs, each of which takes its draw out of both arms; None where none collapsed.
    collapsed : int
        Runs.
    images : float or None
        Bound of the half-width over other test images; None for what is no accuracy.
    """

    claim: Claim
    estimate: Estimate
    alive: Estimate | None
    collapsed: int
    images: float | None


def judged(table: pd.DataFrame, claims: Sequence[Claim] | None = None) -> pd.DataFrame:
    """Hold the hypotheses against the records.

    Parameters
    ----------
    table : pandas.DataFrame
        As `records.load` returns it.
    claims : sequence of Claim, optional
        By default those of ``hypotheses.toml``. Holm's procedure counts all of a family, run or not.

    Returns
    -------
    pandas.DataFrame
        A row a claim: ``key``, ``paper``, ``family``, ``margin``, ``unit``, ``expected``; ``mean``, ``low``, ``high``
        (95 %) and ``verdict``, and the same as ``alive_…`` without collapsed runs; ``level`` and ``half_width``, Holm's
        and that of its interval; ``collapsed``, how many runs; ``images`` (see `Found`); ``count`` and ``missing``,
        runs of each arm that were seen and that were not. *not run* where an experiment has no rows on one of its
        architectures.

    Raises
    ------
    ExperimentError
        If some of a claim's runs are missing.

    Notes
    -----
    Taught in: What the papers claim, and what shows here.
    """
    claims = load() if claims is None else claims
    there = set(zip(table.experiment, table.source.map(replicates.network_of), strict=True))
    found = [
        find(table, claim) for claim in claims if there.issuperset(itertools.product(claim.experiments, claim.networks))
    ]
    rows: dict[str, dict[str, Any]] = {}
    for family in dict.fromkeys(one.claim.family for one in found):
        own = [one for one in found if one.claim.family == family]
        waiting = [1.0] * (sum(claim.family == family for claim in claims) - len(own))
        with_all = contrasts.holm([one.estimate.p_value for one in own] + waiting)
        alive = contrasts.holm([(one.alive or one.estimate).p_value for one in own] + waiting)
        rows |= {one.claim.key: _row(one, *turns) for one, *turns in zip(own, with_all, alive, strict=False)}
    return pd.DataFrame([rows.get(each.key, {"verdict": "not run"}) | _about(each) for each in claims])


def _about(claim: Claim) -> dict[str, Any]:
    return {name: getattr(claim, name) for name in ("key", "paper", "family", "margin", "unit", "expected")}


def _row(found: Found, with_all: tuple[bool, float], alive: tuple[bool, float]) -> dict[str, Any]:
    row: dict[str, Any] = {"collapsed": found.collapsed, "images": found.images}
    row |= {"count": found.estimate.count, "missing": found.estimate.missing}
    row |= {"level": with_all[1], "half_width": found.estimate.half_width(with_all[1])}
    for prefix, estimate, (decided, _) in (
        ("", found.estimate, with_all),
        ("alive_", found.alive or found.estimate, alive),
    ):
        interval = estimate.interval()
        row |= {f"{prefix}{name}": getattr(interval, name) for name in ("mean", "low", "high")}
        row[f"{prefix}verdict"] = contrasts.in_words(interval, decided, found.claim.margin, found.claim.unit)
    return row


def find(table: pd.DataFrame, claim: Claim) -> Found:
    """Estimate the contrast of a claim, with and without collapsed runs.

    Parameters
    ----------
    table : pandas.DataFrame
    claim : Claim

    Returns
    -------
    Found

    Raises
    ------
    ExperimentError
        If runs are missing.
    """
    rows = table[table.experiment.isin(claim.experiments) & table.labels_per_class.isin(claim.labels)]
    rows = rows[rows.target.isin([replicates.TARGETS[pair] for pair in claim.pairs])]
    rows = rows[rows.arm.isin({*claim.ahead, *claim.behind})]
    if claim.score:
        return Found(claim, _ranked(rows, claim), None, 0, None)
    rows = rows[rows.source.map(replicates.network_of).isin(claim.networks)]
    gone = rows.measures.map(lambda text: bool(json.loads(text).get("collapsed")))
    everything = _estimate(rows, claim, rows.key.isin([]))
    alive = _estimate(rows, claim, gone) if gone.any() else None
    return Found(claim, everything, alive, int(gone.sum()), _images(rows, claim))


def _estimate(rows: pd.DataFrame, claim: Claim, gone: pd.Series) -> Estimate:
    blocks = [
        [_cells(rows.assign(gone=gone), claim, pair, network) for network in claim.networks] for pair in claim.pairs
    ]
    return contrasts.estimate(blocks)


_UNTOLD = Claim(
    key="", paper="", claim="", differs="", experiments=(), ahead=(), expected="open", margin=1.0, seen=""
)  # what no paper claims


def difference(
    table: pd.DataFrame,
    ahead: str,
    behind: str,
    pair: str,
    labels: int,
    *,
    experiments: Sequence[str] = ("replicated",),
    network: str = "cnn",
    steps: int = 0,
    what: str = "",
) -> Estimate:
    """Compare two arms at one number of labels, on one pair and one architecture.

    Parameters
    ----------
    table : pandas.DataFrame
        As `records.load` returns it.
    ahead, behind : str
        Arms.
    pair : {"far", "near"}
    labels : int
        Per class.
    experiments, network, steps, what
        As in `Claim`, one each. The parameters are many because each says what is compared.

    Returns
    -------
    contrasts.Estimate
        Of ahead - behind, in percentage points. `ExperimentError` as for `find`.

    Notes
    -----
    Taught in: chapter 4.1 (Results).
    """
    claim = replace(
        _UNTOLD,
        key=f"{ahead} against {behind}",
        experiments=tuple(experiments),
        ahead=(ahead,),
        behind=(behind,),
        what=(what,),
        pairs=(pair,),
        networks=(network,),
        labels=(labels,),
        steps=steps,
    )
    return find(table, claim).estimate


def _cells(rows: pd.DataFrame, claim: Claim, pair: str, network: str) -> NDArray[np.float64]:
    """Return a claim's differences on a pair and an architecture: a row a training, in it those of its draws."""
    rows = rows[(rows.target == replicates.TARGETS[pair]) & (rows.source.map(replicates.network_of) == network)]
    counts = [labels for labels in claim.labels if labels in replicates.LABELS[network]]
    parts = []
    for (ahead, behind, what, against), labels in itertools.product(claim.terms, counts):
        for steps, sign in ((claim.steps, 1.0), (claim.minus_steps, -1.0)):
            if sign < 0 and not steps:
                continue
            own = rows[(rows.labels_per_class == labels) & ((rows.steps == steps) | (steps == 0))]
            where = f"{claim.key}, {pair}, {network}, {labels} labels"
            one, other = (_values(own, *side, where) for side in ((ahead, what), (behind, against)))
            parts.append(sign * (one - other))
    mean = np.sum(parts, axis=0) / len(claim.terms) / len(counts)
    trainings_there = trainings.COUNTS[replicates.NETWORKS[network][pair]]
    return (100 if claim.unit == "points" else 1) * mean.reshape(trainings_there, -1)


def _values(rows: pd.DataFrame, arm: str, what: str, where: str) -> NDArray[np.float64]:
    """Return what is compared of an arm, draw by draw; NaN where the run collapsed or failed."""
    own = rows[rows.arm == arm].sort_values("seed")
    if own.empty:
        raise ExperimentError(f"{where}: there are no runs of {arm!r}. Do this grid first.")
    network = replicates.network_of(own.source.iloc[0])
    kind = trainings.parts_of(own.source.iloc[0])[0]
    draws = 1 if own.experiment.isin(replicates.SINGLE).all() else replicates.DRAWS
    asked = [draw for i in range(trainings.COUNTS[kind]) for draw in replicates.draws_of(network, i)[:draws]]
    if own.seed.tolist() != asked:
        raise ExperimentError(
            f"{where}: {arm!r} has runs of the draws {own.seed.tolist()}, and the plan asks for {asked}. Do the grid "
            "to the end first; a run that failed has a row too."
        )
    values = own.measures.map(lambda text: _at(json.loads(text), what)) if what else own.test_accuracy
    return np.array(values.astype(float).where(~own.gone), np.float64)


def _at(measures: Mapping[str, Any], path: str) -> float:
    """Return what stands in a row's measures at a path such as "shifts/rotated"; NaN where a failed run has none."""
    value: Any = measures
    for name in path.split("/"):
        value = value.get(name, np.nan) if isinstance(value, Mapping) else np.nan
    return float(value)


def _images(rows: pd.DataFrame, claim: Claim) -> float | None:
    """Bound what other test images would change, in points; None for what is no accuracy on test images."""
    if claim.unit != "points" or any(what and not what.startswith("shifts/") for what in claim.what):
        return None
    pairs = []
    for pair in claim.pairs:
        own = rows[rows.target == replicates.TARGETS[pair]]
        shares = [_mean(own[own.arm.isin(names)], claim.what) for names in (claim.ahead, claim.behind)]
        pairs.append((shares * (2 if claim.minus_steps else 1), TESTED[pair]))
    return 100 * contrasts.image_error(pairs)


def _mean(rows: pd.DataFrame, what: Sequence[str]) -> float:
    """Return the mean accuracy of some rows, over what is compared of them."""
    read = [
        rows.test_accuracy if not one else rows.measures.map(lambda text, one=one: _at(json.loads(text), one))
        for one in what
    ]
    return float(pd.concat(read).astype(float).mean())


def _ranked(rows: pd.DataFrame, claim: Claim) -> Estimate:
    """Rank sources by a score that is known before training, against the accuracy reached, within each target."""
    found = []
    for pair in claim.pairs:
        own = rows[
            (rows.target == replicates.TARGETS[pair]) & rows.source.map(replicates.network_of).isin(claim.networks)
        ]
        if own.empty:
            raise ExperimentError(f"{claim.key}: no runs on {replicates.TARGETS[pair]}. Do the grid 'scores' first.")
        if claim.score == "source accuracy":
            same = [networks[pair] for networks in replicates.NETWORKS.values()]  # trained on the same classes
            own = own[own.source.map(lambda name: trainings.parts_of(name)[0]).isin(same)]
            score = own.source.map({name: trainings.card(name)["test_accuracy"] for name in set(own.source)})
        else:
            score = own.measures.map(lambda text: _at(json.loads(text), claim.score))
        points = own.assign(score=score).groupby("source")[["score", "test_accuracy"]].mean().astype(float).dropna()
        kinds = [trainings.parts_of(str(name))[0] for name in points.index]
        numbers = points.score.to_numpy(), points.test_accuracy.to_numpy()
        found.append(contrasts.rank_estimate([numbers], kinds))
    error = float(np.sqrt(sum(one.error**2 for one in found))) / len(found)
    freedom = min(one.freedom for one in found)
    return Estimate(float(np.mean([one.mean for one in found])), error, freedom, sum(one.count for one in found))
