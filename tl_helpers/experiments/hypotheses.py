"""What the literature lets us expect of the reference experiments, written down before they were run.

Each hypothesis is a list of comparisons: this arm against that one, on a pair, at some numbers of labels. Whether it
holds follows from the paired intervals by one rule, `judge`, which was fixed with them.
Taught in: chapter 4.1 (Results).
"""

from dataclasses import dataclass

from tl_helpers.experiments.evidence import FAR, LABELS, NEAR, SOURCELESS, TUNED_AT
from tl_helpers.experiments.grid import ExperimentError
from tl_helpers.measures import paired_interval

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
    """

    better: str
    worse: str
    pair: tuple = FAR
    labels: tuple = LABELS
    experiment: str = "reference"


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
    comparisons : tuple of Comparison
    """

    paper: str
    claim: str
    expected: str
    comparisons: tuple


def _against(better, worse, **where):
    return Comparison(better, worse, **where)


SOURCE_HEAD, RANDOM_HEAD = "linear head, source features", "linear head, random features"
TUNED, SCRATCH, PIXELS = "fine-tuned from the source", "from scratch", "logistic regression on pixels"
_SWEPT = {"labels": TUNED_AT, "experiment": "sweep"}

HYPOTHESES = (
    Hypothesis(
        "razavian2014",
        "Features of a trained network with a linear classifier are a baseline that is hard to beat.",
        "A linear head on the source's features beats one on pixels and one on an untrained network's features, far "
        "and near.",
        tuple(_against(SOURCE_HEAD, other, pair=pair) for pair in (FAR, NEAR) for other in (PIXELS, RANDOM_HEAD)),
    ),
    Hypothesis(
        "yosinski2014",
        "Transferred layers that are fine-tuned generalise better than those trained on the target alone.",
        "Copied from A and fine-tuned (AnB+) beats copied from B and fine-tuned (BnB+), for every n.",
        tuple(
            _against(f"A{n}B, 0 frozen", f"B{n}B, 0 frozen", pair=pair, **_SWEPT)
            for pair in (FAR, NEAR)
            for n in (1, 2, 3)
        ),
    ),
    Hypothesis(
        "yosinski2014",
        "The more layers are copied and frozen, the more accuracy is lost: upper layers are specific to their task.",
        "On the far pair one frozen layer (A1B) does better than three (A3B).",
        (_against("A1B, 1 frozen", "A3B, 3 frozen", **_SWEPT),),
    ),
    Hypothesis(
        "yosinski2014",
        "Layers co-adapt: cut apart and frozen, a network's own lower layers (BnB) do worse than trained on (BnB+).",
        "BnB+ beats BnB for n = 1 and n = 2.",
        tuple(
            _against(f"B{n}B, 0 frozen", f"B{n}B, {n} frozen", pair=pair, **_SWEPT)
            for pair in (FAR, NEAR)
            for n in (1, 2)
        ),
    ),
    Hypothesis(
        "yosinski2014",
        "Frozen random layers are worse than frozen layers of even a distant task.",
        "AnB with all n frozen beats n frozen random layers, for every n.",
        tuple(
            _against(f"A{n}B, {n} frozen", f"random{n}B, {n} frozen", pair=pair, **_SWEPT)
            for pair in (FAR, NEAR)
            for n in (1, 2, 3)
        ),
    ),
    Hypothesis(
        "wang2019",
        "A source that is far from the target can hurt: the negative-transfer gap.",
        "Near, fine-tuning has no such gap at any number of labels; far, one label per class is where we look for it, "
        "without a forecast of its sign. Tested here: fine-tuning beats training from scratch near.",
        (_against(TUNED, SCRATCH, pair=NEAR),),
    ),
    Hypothesis(
        "kumar2022",
        "A head that is trained before the rest (LP-FT) keeps features from being distorted.",
        "LP-FT is at least not worse in distribution; tested here: it beats plain fine-tuning at 1 to 10 labels, far "
        "and near. Its claim for shifted images has experiments of its own.",
        tuple(_against("LP-FT", TUNED, pair=pair, labels=FEW) for pair in (FAR, NEAR)),
    ),
    Hypothesis(
        "hinton2015",
        "Soft targets of a teacher carry more information for each image than labels do.",
        "With a teacher that had 50 labels per class, distillation beats fine-tuning at 1 to 10 labels.",
        (_against("distillation", TUNED, labels=FEW),),
    ),
    Hypothesis(
        "li2018",
        "Pulling the weights towards the source's (L2-SP) beats plain fine-tuning when labels are few.",
        "L2-SP beats plain fine-tuning at 1 to 10 labels.",
        (_against("L2-SP", TUNED, labels=FEW),),
    ),
    Hypothesis(
        "zagoruyko2017",
        "Imitating the attention maps of the source beats plain fine-tuning.",
        "Attention transfer beats plain fine-tuning at 1 to 10 labels.",
        (_against("attention transfer", TUNED, labels=FEW),),
    ),
    Hypothesis(
        "hu2016",
        "Training under logic rules beats training without.",
        "Fine-tuning under the loop rules beats plain fine-tuning at 1 to 10 labels.",
        (_against("logic rules", TUNED, labels=FEW),),
    ),
    Hypothesis(
        "hu2016",
        "A rule is only as good as its truth.",
        "Fine-tuning under a wrong rule is worse than plain fine-tuning, whatever the number of labels.",
        (_against(TUNED, "logic rules, wrong"),),
    ),
)


def compare(table, comparison):
    """Compare two arms at each number of labels.

    Parameters
    ----------
    table : pandas.DataFrame
        As `records` returns it.
    comparison : Comparison

    Returns
    -------
    dict of int to measures.Interval
        Labels per class to the paired difference in test accuracy, `better` − `worse`.

    Raises
    ------
    ExperimentError
        If runs are missing.

    Notes
    -----
    Taught in: chapter 4.1 (Results).
    """
    rows = table[(table.experiment == comparison.experiment) & (table.target == comparison.pair[1])]
    found = {}
    for labels in comparison.labels:
        values = []
        for arm in (comparison.better, comparison.worse):
            mine = rows[(rows.arm == arm) & (rows.labels_per_class == labels)]
            if arm not in SOURCELESS:
                mine = mine[mine.source == comparison.pair[0]]
            values.append(mine.drop_duplicates(["seed"]).set_index("seed").test_accuracy.dropna())
        first, second = values
        if len(first) < 2 or set(first.index) != set(second.index):
            raise ExperimentError(f"{comparison} at {labels} labels: runs are missing. `make records` computes them.")
        found[labels] = paired_interval(first.sort_index(), second.sort_index())
    return found


def judge(intervals):
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
    above, below = sum(each.low > 0 for each in intervals), sum(each.high < 0 for each in intervals)
    if below > above:
        return "contradicts"
    if above > len(intervals) / 2 and below == 0:
        return "agrees"
    return "agrees in part" if above else "does not show"
