"""What the literature lets us expect of the reference experiments, written down before they were run.

Each hypothesis is a list of comparisons: this arm against that one, on a pair, at some numbers of labels. Whether it
holds follows from the paired intervals by one rule, `judge`, which was fixed with them. Three things were mended after
the runs: digits moved by four pixels left the comparisons on shifted images, because every arm reads fewer of them than
guessing would; LEEP is ranked over the states of one network alone, as its sentence always said; and rankings are no
longer judged, because the points of each are states and layers of one training, not independent sources.
Taught in: chapter 4.1 (Results).
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from tl_experiments import arms
from tl_experiments.evidence import LABELS, TUNED_AT
from tl_experiments.names import ExperimentError
from tl_helpers import asset
from tl_helpers.measures import Interval, paired_interval
from tl_helpers.records import FAR, NEAR, dead, rows_if_any

FEW = LABELS[:4]  # 1 to 10 labels per class


@dataclass(frozen=True)
class Comparison:
    """One arm against another, paired by seed.

    Attributes
    ----------
    better, worse : str
        Arms, as `evidence` names them: the first is expected to reach the higher test accuracy.
    pair : (str, str)
        Source and target.
    labels : tuple of int
        Labels per class at which to compare.
    experiment : str
    label_noise : float
        Of both arms.
    what, against : tuple of str
        What to compare where it is not test accuracy: a path in `records`' ``measures``, such as ``("shifts",
        "rotated")``. `against` is that of the second arm, by default the same.
    """

    better: str
    worse: str
    pair: tuple[str, str] = FAR
    labels: tuple[int, ...] = LABELS
    experiment: str = "reference"
    label_noise: float = 0.0
    what: tuple[str, ...] = ()
    against: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ranking:
    """A score that is known before training, against the accuracy reached, over sources, layers or states.

    Attributes
    ----------
    score : str
        ``"logme"``, ``"leep"``, or ``"source accuracy"``: on the validation images of the source task.
    arms : tuple of str
        Arms whose runs are the points, one for each source and arm, averaged over the seeds.
    targets : tuple of str
        Points of several targets are ranked within each.
    states_of : str
        Only the states of this source, on its way and at the end; by default all sources.
    """

    score: str
    arms: tuple[str, ...]
    targets: tuple[str, ...]
    states_of: str = ""


@dataclass(frozen=True)
class Hypothesis:
    """What a paper lets us expect here.

    Attributes
    ----------
    paper : str
        Key in ``references.bib``.
    claim : str
        What the paper found.
    expected : str
        What follows for our experiments.
    comparisons : tuple of Comparison or Ranking
    """

    paper: str
    claim: str
    expected: str
    comparisons: tuple[Comparison | Ranking, ...]


SOURCE_HEAD, RANDOM_HEAD, TUNED = arms.HEAD.name, arms.RANDOM_HEAD.name, arms.TUNED.name
SCRATCH, PIXELS, LP_FT = arms.SCRATCH.name, arms.PIXELS.name, arms.LP_FT.name
SOURCE_HEADS = (SOURCE_HEAD, *(name for name, arm in arms.CUTS.items() if arm.initialisation == "source"))
KINDS = ("rotated", "noisy", "inverted")  # moved by four pixels, every arm is below guessing: nothing to compare
_SWEPT: dict[str, Any] = {"labels": TUNED_AT, "experiment": "sweep"}
_SHIFTED: dict[str, Any] = {"labels": (10, 50), "experiment": "shifts"}
_CHANGED, _NOISY = _SHIFTED | {"experiment": "change"}, _SHIFTED | {"experiment": "noise"}


def _swept(start: str, copied: int, frozen: int) -> str:
    return arms.swept(start, copied, frozen).name


HYPOTHESES = (
    Hypothesis(
        "razavian2014",
        "Features of a trained network with a linear classifier are a baseline that is hard to beat.",
        "A linear head on the source's features beats one on pixels and one on an untrained network's features, far "
        "and near.",
        tuple(Comparison(SOURCE_HEAD, other, pair=pair) for pair in (FAR, NEAR) for other in (PIXELS, RANDOM_HEAD)),
    ),
    Hypothesis(
        "yosinski2014",
        "Transferred layers that are fine-tuned generalise better than those trained on the target alone.",
        "Copied from A and fine-tuned (AnB+) beats copied from B and fine-tuned (BnB+), for every n.",
        tuple(
            Comparison(_swept("A", n, 0), _swept("B", n, 0), pair=pair, **_SWEPT)
            for pair in (FAR, NEAR)
            for n in (1, 2, 3)
        ),
    ),
    Hypothesis(
        "yosinski2014",
        "The more layers are copied and frozen, the more accuracy is lost: upper layers are specific to their task.",
        "On the far pair one frozen layer (A1B) does better than three (A3B).",
        (Comparison(_swept("A", 1, 1), _swept("A", 3, 3), **_SWEPT),),
    ),
    Hypothesis(
        "yosinski2014",
        "Layers co-adapt: cut apart and frozen, a network's own lower layers (BnB) do worse than trained on (BnB+).",
        "BnB+ beats BnB for n = 1 and n = 2.",
        tuple(
            Comparison(_swept("B", n, 0), _swept("B", n, n), pair=pair, **_SWEPT)
            for pair in (FAR, NEAR)
            for n in (1, 2)
        ),
    ),
    Hypothesis(
        "yosinski2014",
        "Frozen random layers are worse than frozen layers of even a distant task.",
        "AnB with all n frozen beats n frozen random layers, for every n.",
        tuple(
            Comparison(_swept("A", n, n), _swept("random", n, n), pair=pair, **_SWEPT)
            for pair in (FAR, NEAR)
            for n in (1, 2, 3)
        ),
    ),
    Hypothesis(
        "wang2019",
        "A source that is far from the target can hurt: the negative-transfer gap.",
        "Near, fine-tuning has no such gap at any number of labels; far, one label per class is where we look for it, "
        "without a forecast of its sign. Tested here: fine-tuning beats training from scratch near.",
        (Comparison(TUNED, SCRATCH, pair=NEAR),),
    ),
    Hypothesis(
        "kumar2022",
        "A head that is trained before the rest (LP-FT) keeps features from being distorted.",
        "LP-FT is at least not worse in distribution; tested here: it beats plain fine-tuning at 1 to 10 labels, far "
        "and near. Its claim for shifted images has experiments of its own.",
        tuple(Comparison(LP_FT, TUNED, pair=pair, labels=FEW) for pair in (FAR, NEAR)),
    ),
    Hypothesis(
        "hinton2015",
        "Soft targets of a teacher carry more information for each image than labels do.",
        "With a teacher that had 50 labels per class, distillation beats fine-tuning at 1 to 10 labels.",
        (Comparison(arms.DISTILLATION.name, TUNED, labels=FEW),),
    ),
    Hypothesis(
        "li2018",
        "Pulling the weights towards the source's (L2-SP) beats plain fine-tuning when labels are few.",
        "L2-SP beats plain fine-tuning at 1 to 10 labels.",
        (Comparison(arms.L2_SP.name, TUNED, labels=FEW),),
    ),
    Hypothesis(
        "zagoruyko2017",
        "Imitating the attention maps of the source beats plain fine-tuning.",
        "Attention transfer beats plain fine-tuning at 1 to 10 labels.",
        (Comparison(arms.ATTENTION.name, TUNED, labels=FEW),),
    ),
    Hypothesis(
        "hu2016",
        "Training under logic rules beats training without.",
        "Fine-tuning under the loop rules beats plain fine-tuning at 1 to 10 labels.",
        (Comparison(arms.LOGIC.name, TUNED, labels=FEW),),
    ),
    Hypothesis(
        "hu2016",
        "A rule is only as good as its truth.",
        "Fine-tuning under a wrong rule is worse than plain fine-tuning, whatever the number of labels.",
        (Comparison(TUNED, arms.WRONG_LOGIC.name),),
    ),
    Hypothesis(
        "kumar2022",
        "Fine-tuning distorts features: on shifted images it does worse than the linear head it should improve.",
        "On the rotated, noisy and inverted test sets the linear head on frozen features beats plain fine-tuning.",
        tuple(Comparison(SOURCE_HEAD, TUNED, what=("shifts", kind), **_SHIFTED) for kind in KINDS),
    ),
    Hypothesis(
        "kumar2022",
        "LP-FT does better than fine-tuning on shifted images.",
        "On the rotated, noisy and inverted test sets LP-FT beats plain fine-tuning.",
        tuple(Comparison(LP_FT, TUNED, what=("shifts", kind), **_SHIFTED) for kind in KINDS),
    ),
    Hypothesis(
        "nguyen2020",
        "LEEP, read off a source classifier's outputs, ranks sources by the accuracy that transfer reaches.",
        "Over the states of the CIFAR-10 network on its way, LEEP ranks the accuracy of the linear head.",
        (Ranking("leep", (SOURCE_HEAD,), ("mnist", "digits"), states_of="cifar10"),),
    ),
    Hypothesis(
        "you2021",
        "LogME, read off features, ranks them by the accuracy that transfer reaches.",
        "Over layers, states and sources LogME ranks the accuracy of the linear head, within each target.",
        (Ranking("logme", SOURCE_HEADS, ("mnist", "digits", "cifar10-b")),),
    ),
    Hypothesis(
        "kornblith2019better",
        "Better ImageNet models transfer better.",
        "States of the source network with a higher source accuracy give a higher accuracy on MNIST, frozen and "
        "fine-tuned.",
        tuple(Ranking("source accuracy", (arm,), ("mnist",), states_of="cifar10") for arm in (SOURCE_HEAD, TUNED)),
    ),
    Hypothesis(
        "neyshabur2020",
        "Fine-tuning changes upper layers more than lower ones.",
        "After fine-tuning the CKA with the source falls from layer to layer.",
        tuple(
            Comparison(arm, arm, what=("cka", low), against=("cka", high), **_CHANGED)
            for arm in (TUNED, LP_FT)
            for low, high in (("pool1", "pool2"), ("pool2", "conv3"))
        ),
    ),
    Hypothesis(
        "neyshabur2020",
        "Networks that were fine-tuned from one source stay alike; networks from two random starts do not.",
        "CKA of a fine-tuned network with its source exceeds that of two networks from scratch, in every layer.",
        tuple(Comparison(TUNED, SCRATCH, what=("cka", layer), **_CHANGED) for layer in ("pool1", "pool2", "conv3")),
    ),
    Hypothesis(
        "zhang2017",
        "A network that can change all its weights fits wrong labels too.",
        "With 30 % wrong labels the linear head beats fine-tuning, and both beat training from scratch.",
        (
            Comparison(SOURCE_HEAD, TUNED, label_noise=0.3, **_NOISY),
            Comparison(SOURCE_HEAD, SCRATCH, label_noise=0.3, **_NOISY),
            Comparison(TUNED, SCRATCH, label_noise=0.3, **_NOISY),
        ),
    ),
)


def compare(table: pd.DataFrame, comparison: Comparison | Ranking, without: Sequence[str] = ()) -> dict[Any, Interval]:
    """Compare two arms at each number of labels, or rank by a score.

    Parameters
    ----------
    table : pandas.DataFrame
        As `records` returns it.
    comparison : Comparison or Ranking
    without : sequence of str
        Keys of runs to leave out, such as those that `records.dead` finds: a seed that loses one of its two runs is
        left out in both arms.

    Returns
    -------
    dict of int or str to measures.Interval
        Labels per class to the paired difference, `better` − `worse`; or target to Kendall's τ-b of score and accuracy,
        with the number of points and without an interval (NaN): the points are states and layers of one training of
        each source, so nothing here says how τ varies from one training to another.

    Raises
    ------
    ExperimentError
        If runs are missing.

    Notes
    -----
    Taught in: chapter 4.1 (Results).
    """
    if isinstance(comparison, Ranking):
        points = ranked(table, comparison)
        taus = {target: stats.kendalltau(rows.score, rows.accuracy).statistic for target, rows in points.items()}
        return {target: Interval(float(tau), np.nan, np.nan, len(points[target])) for target, tau in taus.items()}
    rows = rows_if_any(table, comparison.pair, comparison.experiment)
    rows = rows[rows.label_noise == comparison.label_noise]
    sides = (comparison.better, comparison.what), (comparison.worse, comparison.against or comparison.what)
    differences = {}
    for labels in comparison.labels:
        both = [rows[(rows.labels_per_class == labels) & (rows.arm == arm)] for arm, _ in sides]
        if len(without):
            gone = {seed for part in both for seed in part[part.key.isin(without)].seed}
            both = [part[~part.seed.isin(gone)] for part in both]
        first, second = (_by_seed(part, what) for part, (_, what) in zip(both, sides, strict=True))
        if len(first) < 2 or not first.index.equals(second.index):
            raise ExperimentError(f"{comparison} at {labels} labels: runs are missing. `make records` computes them.")
        differences[labels] = paired_interval(first, second)
    return differences


def ranked(table: pd.DataFrame, ranking: Ranking) -> dict[str, pd.DataFrame]:
    """List the points of a ranking: for each target the scores and accuracies, averaged over the seeds.

    Parameters
    ----------
    table : pandas.DataFrame
    ranking : Ranking

    Returns
    -------
    dict of str to pandas.DataFrame
        Target to ``score`` and ``accuracy``, indexed by source and arm.

    Raises
    ------
    ExperimentError
        If runs are missing.
    """
    rows = table[(table.experiment == "prediction") & table.arm.isin(ranking.arms) & table.test_accuracy.notna()]
    if ranking.states_of:
        rows = rows[rows.source.str.partition("@")[0] == ranking.states_of]
    if ranking.score == "source accuracy":
        scores = rows.source.map(_source_accuracy)
    else:
        scores = rows.measures.map(lambda text: json.loads(text).get(ranking.score))
    points = rows.assign(score=scores).groupby(["target", "source", "arm"])[["score", "test_accuracy"]].mean()
    missing = sorted(set(ranking.targets) - set(points.index.get_level_values("target")))
    missing += sorted(set(ranking.arms) - set(points.index.get_level_values("arm")))
    if missing:
        raise ExperimentError(f"{ranking}: no runs for {', '.join(missing)}. `make records` computes them.")
    points = points.rename(columns={"test_accuracy": "accuracy"})
    rows = points.reset_index("target")
    return {target: rows[rows.target == target].drop(columns="target") for target in ranking.targets}


def _source_accuracy(name: str) -> float:
    """Return the validation accuracy on the source task that a state's card tells."""
    name, _, epoch = name.partition("@")
    card = json.loads(asset(f"source_{name}.json").read_text(encoding="utf-8"))
    wanted = int(epoch) if epoch else card["best_epoch"]
    return next(row["validation_accuracy"][-1] for row in card["history"] if row["epoch"] == wanted)


def _by_seed(rows: pd.DataFrame, what: Sequence[str]) -> pd.Series:
    rows = rows.set_index("seed")
    values = rows.test_accuracy
    if what:
        values = rows.measures.map(lambda text: json.loads(text)[what[0]][what[1]])
    return values.dropna().sort_index()


def judge(intervals: Iterable[Interval]) -> str:
    """Say whether paired intervals agree with a hypothesis: the rule that was fixed before the experiments.

    Parameters
    ----------
    intervals : sequence of measures.Interval
        Of differences that the hypothesis expects to be positive.

    Returns
    -------
    {"agrees", "agrees in part", "does not show", "contradicts"}
        An interval above 0 speaks for the hypothesis, one below 0 against it, one that holds 0 for neither. *Agrees*:
        more than half of all speak for it and none against. *Contradicts*: more speak against than for it. *Agrees in
        part*: some speak for it. *Does not show*: none does.

    Notes
    -----
    Taught in: chapter 4.1 (Results).
    """
    intervals = list(intervals)
    above, below = sum(one.low > 0 for one in intervals), sum(one.high < 0 for one in intervals)
    if below > above:
        return "contradicts"
    if above > len(intervals) / 2 and below == 0:
        return "agrees"
    return "agrees in part" if above else "does not show"


def was_run(table: pd.DataFrame, comparison: Comparison | Ranking) -> bool:
    """Tell whether there are any runs for a comparison; `compare` then says what is missing among them."""
    if isinstance(comparison, Ranking):
        return bool((table.experiment == "prediction").any())
    return len(rows_if_any(table, comparison.pair, comparison.experiment)) > 0


def verdicts(table: pd.DataFrame) -> pd.DataFrame:
    """Hold every hypothesis against the records.

    Parameters
    ----------
    table : pandas.DataFrame
        As `records` returns it.

    Returns
    -------
    pandas.DataFrame
        One row a hypothesis: ``paper``, ``claim``, ``expected``, ``found`` (in words, with numbers) and ``verdict``, as
        `judge` gives it. Comparisons without runs are left out, and ``found`` says so; *not run* if it is all of them.
        Rankings are *not judged*: there is no interval of them.
        Dead runs (`records.dead`) count like all others; ``found`` says how many there are, and what is found, and
        judged, without their seeds.

    Notes
    -----
    Taught in: chapter 4.1 (Results).
    """
    rows, died = [], dead(table)
    for hypothesis in HYPOTHESES:
        ran = [item for item in hypothesis.comparisons if was_run(table, item)]
        if not ran:
            rows.append((hypothesis.paper, hypothesis.claim, hypothesis.expected, "", "not run"))
            continue
        intervals = [interval for item in ran for interval in compare(table, item).values()]
        first = hypothesis.comparisons[0]
        kind = "rank" if isinstance(first, Ranking) else "cka" if "cka" in first.what else "accuracy"
        summary = _in_words(intervals, kind)
        if lost := sum(len(_runs_of(died, item)) for item in ran):
            alive = [interval for item in ran for interval in compare(table, item, without=list(died.key)).values()]
            summary += f"; {lost} runs died, and without their seeds it is {_in_words(alive, kind)}: {judge(alive)}"
        if missing := len(hypothesis.comparisons) - len(ran):
            summary += f"; {missing} of {len(hypothesis.comparisons)} comparisons not run"
        verdict = "not judged" if kind == "rank" else judge(intervals)
        rows.append((hypothesis.paper, hypothesis.claim, hypothesis.expected, summary, verdict))
    return pd.DataFrame(rows, columns=["paper", "claim", "expected", "found", "verdict"])


def _runs_of(rows: pd.DataFrame, comparison: Comparison | Ranking) -> pd.DataFrame:
    """Return those of some rows that a comparison uses; dead runs have no part in rankings."""
    if isinstance(comparison, Ranking):
        return rows[:0]
    rows = rows_if_any(rows, comparison.pair, comparison.experiment)
    arms, counts = (comparison.better, comparison.worse), comparison.labels
    return rows[rows.arm.isin(arms) & rows.labels_per_class.isin(counts) & (rows.label_noise == comparison.label_noise)]


def _in_words(intervals: Sequence[Interval], kind: str) -> str:
    """Put intervals in words: each of them if they are few, else their range and how many are on which side of 0."""
    if kind == "rank":
        taus = "; ".join(f"{one.mean:+.2f} ({one.count} points)" for one in intervals)
        return f"Kendall's τ {taus}; one training of each source, so no interval"
    unit, factor, digits = ("", 1, 2) if kind == "cka" else (" points", 100, 1)
    means = [factor * one.mean for one in intervals]
    above, below = sum(one.low > 0 for one in intervals), sum(one.high < 0 for one in intervals)
    return (
        f"{min(means):+.{digits}f} to {max(means):+.{digits}f}{unit}: of {len(intervals)} intervals {above} above 0, "
        f"{len(intervals) - above - below} with 0, {below} below"
    )
