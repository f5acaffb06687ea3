"""What the explorer offers, and the records, code and pictures that it shows for it.

Taught in: chapter 4.2 (The explorer).
"""

import base64
import io
import itertools
import json
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image
from scipy import stats

from tl_experiments.evidence import EXPLORED, FAR, NEAR, SWEPT_AT, TRIED_ON, rows_if_any, tuned_at
from tl_experiments.grid import ExperimentError, Grid, Run
from tl_experiments.log import history, records
from tl_experiments.plan import ANSWERED, OTHER_SEED, base_run, trunk
from tl_helpers import data

PAIRS = {"far": FAR, "near": NEAR}
TITLES = {"far": "far: CIFAR-10 → MNIST", "near": "near: CIFAR-10 classes A → classes B"}
LAYERS = ("conv1", "conv2", "conv3")
PLAIN, PROBE = "plain", "feature extraction"
CLASSES = {"far": 10, "near": 5}
TESTED = {"far": 10_000, "near": 5_000}  # images of the test sets that the records were measured on
TILE, ACROSS = 32, 10  # pixels of a test image, images in a row of the picture
HOUSES = ("sweep", "explorer", "reference")  # experiments that hold the runs, the first that does counts


@dataclass(frozen=True)
class Setting:
    """One way to transfer that the explorer offers.

    Attributes
    ----------
    method : str
        ``"plain"`` starts some layers from given weights, freezes some of these, and trains the rest. The others are
        `Grid.method`'s.
    start : {"source", "random"}
        What stands in the layers that are not trained from a random start.
    copied, frozen : int
        As ``copy`` and ``freeze`` of `transfer.parameter_transfer`; with ``"random"`` both count frozen random layers.
    arms : tuple of str
        Its names in the records.
    """

    method: str
    start: str
    copied: int
    frozen: int
    arms: tuple

    @property
    def states(self):
        """One letter a layer: F copied and frozen, T copied and trained, R random and trained, Z random and frozen."""
        frozen, rest = ("F", "T") if self.start == "source" else ("Z", "R")
        return frozen * self.frozen + rest * (self.copied - self.frozen) + "R" * (len(LAYERS) - self.copied)


def _offer():
    yield Setting(PLAIN, "random", 0, 0, ("from scratch",))
    for n in range(1, len(LAYERS) + 1):
        for k in range(n + 1):
            arms = (f"A{n}B, {k} frozen",) + (("fine-tuned from the source",) if (n, k) == (len(LAYERS), 0) else ())
            yield Setting(PLAIN, "source", n, k, arms)
        yield Setting(PLAIN, "random", n, n, (f"random{n}B, {n} frozen",))
    for start in ("source", "random"):
        yield Setting(PROBE, start, len(LAYERS), len(LAYERS), (f"linear head, {start} features",))
    for method in ("LP-FT", "L2-SP", "attention transfer", "distillation", "logic rules"):
        yield Setting(method, "source", len(LAYERS), 0, (method,))


OFFER = tuple(_offer())


def offered(pair):
    """List the settings that are offered for a pair of tasks: the rules speak of digits, so only far has them.

    Parameters
    ----------
    pair : {"far", "near"}

    Returns
    -------
    tuple of Setting

    Notes
    -----
    Taught in: chapter 4.2 (The explorer).
    """
    _check_pair(pair)
    return tuple(setting for setting in OFFER if pair == "far" or setting.method != "logic rules")


def _check_pair(pair):
    if pair not in PAIRS:
        raise ExperimentError(f"The explorer has no pair {pair!r}. It has {', '.join(PAIRS)}.")


def rows_for(table, pair, setting, labels):
    """Return the recorded runs of a setting, one a seed; empty where there are none.

    Parameters
    ----------
    table : pandas.DataFrame
        As `records` returns it.
    pair : {"far", "near"}
    setting : Setting
    labels : int
        Per class.

    Returns
    -------
    pandas.DataFrame
        Sorted by seed.

    Notes
    -----
    Taught in: chapter 4.2 (The explorer).
    """
    _check_pair(pair)
    for experiment in HOUSES:
        rows = rows_if_any(table, PAIRS[pair], experiment)
        rows = rows[rows.arm.isin(setting.arms) & (rows.labels_per_class == labels)]
        if len(rows):
            return rows.sort_values("seed")
    return rows


def examples(table):
    """Keep the answers to a hundred test images of one run, seed 0, of each setting that the explorer offers."""
    grids = []
    for pair in PAIRS:
        for setting, labels in itertools.product(offered(pair), EXPLORED):
            rows = rows_for(table, pair, setting, labels)
            if len(rows):
                grids.append(_examined(Run.of(rows.iloc[0]), PAIRS[pair]))
    return grids


def _examined(run, pair):
    """Turn a recorded run into a grid of one run that keeps its answers."""
    names = ("method", "initialisation", "layer", "head", "layers_copied", "layers_frozen", "labels_per_class")
    axes = {name: [getattr(run, name)] for name in (*names, "learning_rate", "seed")}
    budget = {"batch_size": run.batch_size, "steps": run.steps}
    shape = {"pairs": [pair], "settings": [dict(run.settings)], "measures": ("answers",), "arm": run.arm}
    return Grid("examples", **axes, **budget, **shape)


def payload(table=None, pictures=True):
    """Prepare all that the explorer shows: settings, recorded curves and accuracies, code, and test images.

    Parameters
    ----------
    table : pandas.DataFrame, optional
        As `records` returns it; by default those that ship.
    pictures : bool
        Add the test images whose answers are recorded, where the data are here.

    Returns
    -------
    dict
        JSON-able. ``pairs`` to ``settings`` say what can be chosen; ``runs`` maps ``"pair|labels|number of setting"``
        to what was recorded: ``test`` (accuracy, one a seed), ``steps``, ``mean`` and ``half`` (validation accuracy and
        half its 95 % interval at each point), ``rate`` and ``setting`` (as chosen), ``tried`` (learning rate, settings,
        and mean validation accuracy on the development seeds), ``triedAt`` (labels per class there), ``parameters``,
        ``seconds`` (median), ``code`` (the call that does it again), ``answers``. ``quantile`` is Student's for as many
        seeds, to make intervals of paired differences.

    Notes
    -----
    A setting without a record has no entry in ``runs``. Taught in: chapter 4.2 (The explorer).
    """
    from tl_helpers import models

    table, network = records() if table is None else table, models.source_cnn()
    kept = _answers(table)
    runs = {}
    for pair in PAIRS:
        for setting, labels in itertools.product(offered(pair), EXPLORED):
            rows = rows_for(table, pair, setting, labels)
            if len(rows):
                runs[f"{pair}|{labels}|{OFFER.index(setting)}"] = _shown(table, rows, kept)
    counts = {len(run["test"]) for run in runs.values()}
    if len(counts) != 1:
        raise ExperimentError(f"The explorer pairs runs by seed, but they have {sorted(counts)} seeds.")
    return {
        "pairs": [_pair(name, network, pictures) for name in PAIRS],
        "labels": list(EXPLORED),
        "layers": _layers(network),
        "settings": [{"method": s.method, "states": s.states, "pairs": _where(s)} for s in OFFER],
        "quantile": round(float(stats.t.ppf(0.975, counts.pop() - 1)), 4),
        "runs": runs,
    }


def coverage(shown):
    """Return the share of what can be chosen, pair by labels by setting, that has a record of its own.

    Parameters
    ----------
    shown : dict
        As `payload` returns it.

    Returns
    -------
    float

    Notes
    -----
    Taught in: chapter 4.2 (The explorer).
    """
    return len(shown["runs"]) / (len(shown["labels"]) * sum(len(offered(pair)) for pair in PAIRS))


def _shown(table, rows, kept):
    curves = [history(row) for _, row in rows.iterrows()]
    scores = np.array([curve["validation_accuracy"] for curve in curves])
    count = len(scores)
    half = stats.t.ppf(0.975, count - 1) * scores.std(axis=0, ddof=1) / np.sqrt(count)
    row = rows.iloc[0]
    run = Run.of(row)
    return {
        "test": [round(float(value), 4) for value in rows.test_accuracy],
        "steps": curves[0]["steps"],
        "mean": [round(float(value), 3) for value in scores.mean(axis=0)],
        "half": [round(float(value), 3) for value in half],
        "rate": float(row.learning_rate),
        "setting": _told(row.settings),
        "tried": _tried(table, row),
        "triedAt": _tried_at(row)[1],
        "parameters": int(row.trainable_parameters),
        "seconds": round(float(rows.seconds.median()), 2),
        "code": code(run),
        "answers": kept.get((row.source, row.target, row.arm, int(row.labels_per_class)), ""),
    }


def _tried(table, row):
    """List what was tried on development seeds for an arm: (rate, settings, mean validation accuracy)."""
    name, labels = _tried_at(row)
    found = table[(table.experiment == name) & (table.arm == row.arm) & (table.labels_per_class == labels)]
    found = found[(found.source == row.source) & (found.target == row.target) & found.seed.isin(TRIED_ON)]
    means = found.groupby(["learning_rate", "settings"]).validation_accuracy.mean()
    return [[rate, _told(settings), round(float(mean), 3)] for (rate, settings), mean in means.items()]


def _tried_at(row):
    """Return the experiment that chose an arm's rate, and its labels per class."""
    swept = row.experiment in ("sweep", "explorer") and row.method == "parameter transfer"
    return ("sweep choice", SWEPT_AT) if swept else ("choice", tuned_at(int(row.labels_per_class)))


def _told(settings):
    told = json.loads(settings)
    return ", ".join(f"{name} {told[name]:g}" for name in ("alpha", "strength", "weight") if name in told)


def _answers(table):
    rows = table[table.experiment == "examples"]
    keys = zip(rows.source, rows.target, rows.arm, rows.labels_per_class.astype(int), strict=True)
    told = ("".join(map(str, json.loads(text)["answers"])) for text in rows.measures)
    return dict(zip(keys, told, strict=True))


def code(run):
    """Write the calls of `tl_helpers` that do a run again.

    Parameters
    ----------
    run : Run
        Of any `Grid`, or `Run.of` a record.

    Returns
    -------
    str
        Python that ends with the run's accuracy in ``accuracy``: on the test set if the run looked at it, else on the
        validation images. What a run measures besides, `Grid.measures`, is not part of it.

    Notes
    -----
    Taught in: chapter 4.2 (The explorer).
    """
    before, call, arguments = _call(run)
    listed = "".join(f"    {argument},\n" for argument in (*arguments, _budget(run)) if argument)
    score = "result.evaluate(target.test).accuracy" if run.test else "result.validation_accuracy"
    text = "\n".join([*_data(run), *before, f"result = transfer.{call}(", f"{listed})"]) + f"\naccuracy = {score}\n"
    noise = "from tl_experiments import perturbations\n" if run.label_noise else ""
    imports = f"{noise}from tl_helpers import data, knowledge, models, transfer\n"
    used = [line for line, name in _IMPORTS.items() if name in text]
    return "\n".join([*used, "", imports + "\n" + text]) if used else imports + "\n" + text


_IMPORTS = {"from dataclasses import replace": "replace(", "from pkgutil import resolve_name": "resolve_name("}


def _data(run):
    """Return the lines that make the source and the split."""
    seed = f"seed={run.seed}"
    if run.labels_per_class is None:
        lines = [f"target = data.full_split(images, {seed})"]
    else:
        lines = [f"target = data.few_shot(images, per_class={run.labels_per_class}, {seed})"]
    if run.label_noise:
        noisy = f"perturbations.with_label_noise(target.train, {run.label_noise!r}, {seed})"
        lines.append(f"target = replace(target, train={noisy})")
    if run.epochs:
        passes = f"{run.epochs} * len(target.train) // {run.batch_size}"
        lines.append(f"steps = max({run.steps}, {passes})")
    return [f"source = {_source(run.source)}", f"images = {_images(run.target)}", *lines]


def _source(name):
    if ":" in name:
        return f"resolve_name({_quoted(name)})()"
    name, _, epoch = name.partition("@")
    return f"models.pretrained({_quoted(name)}{', epoch=' + epoch if epoch else ''})"


def _images(name):
    if ":" in name:
        return f"resolve_name({_quoted(name)})()"
    if name in ("cifar10-a", "cifar10-b"):
        classes = name.upper().replace("-", "_")
        return f'data.only(data.load("cifar10"), data.{classes}, "{name}")'
    return "data.digits()" if name == "digits" else f"data.load({_quoted(name)})"


def _quoted(text):
    return json.dumps(text, ensure_ascii=False)


def _budget(run):
    """Return the arguments that say how long and how fast to train."""
    steps = "steps" if run.epochs else run.steps
    return f"learning_rate={run.learning_rate!r}, steps={steps}, batch_size={run.batch_size}, seed={run.seed}"


def _call(run):
    """Return lines to run before, the function of `transfer`, and its arguments but for the budget."""
    told = {name: value for name, value in run.settings if name != "base_rate"}
    shape = f"layer={_quoted(run.layer)}" + (f", head={run.head!r}" if run.head else "")
    if run.method == "from scratch":
        return (), "from_scratch", (f"target, architecture=source, {shape}",)
    before, source, start = _start(run)
    depths = f"copy={run.layers_copied}, freeze={run.layers_frozen}"
    arguments = f"{source}, target, {shape}", depths, start
    if run.method == "feature extraction":
        return before, "feature_extraction", (arguments[0], start, _given(told))
    if run.method in ("parameter transfer", "LP-FT"):
        if run.method == "LP-FT" and "probe_steps" not in told:
            half = "steps // 2" if run.epochs else run.steps // 2
            arguments += (f"probe_steps={half}",)
        return before, "parameter_transfer", (*arguments, _given(told))
    teacher, made = _constraint(run, told)
    return (*before, *teacher), "knowledge_transfer", (*arguments, f"knowledge=[knowledge.{made}]")


def _start(run):
    """Return lines that train base B, where a run starts from it; the network to copy from; an argument about it."""
    if run.initialisation != "target":
        return (), "source", "" if run.initialisation == "source" else 'initialisation="random"'
    base = base_run(run)
    base = replace(base, seed=OTHER_SEED + base.seed)
    lines = (
        "base = transfer.from_scratch(",
        f"    target, architecture=source, layer={_quoted(base.layer)},",
        f"    {_budget(base)},",
        ").model",
    )
    return lines, "base", ""


def _given(told):
    """Write settings as arguments of a call."""
    return ", ".join(f"{name}={_quoted(each) if isinstance(each, str) else repr(each)}" for name, each in told.items())


def _constraint(run, told):
    """Return lines that make a teacher, if there is one, and the constraint."""
    given = _given({name: value for name, value in told.items() if name not in ("teacher", "rules")})
    rest = f", {given}" if given else ""
    if run.method == "distillation":
        name = told["teacher"]
        if isinstance(name, str):
            return (), f'Distillation({_source(name)}, models.model_card({_quoted(name)})["classes"]{rest})'
        shape = f"layer={_quoted(trunk(run))}, steps=200, points=1, seed={OTHER_SEED}"
        teacher = (
            f"labelled = data.few_shot(images, per_class={name}, seed={OTHER_SEED})",
            f"teacher = transfer.parameter_transfer(source, labelled, {shape}).model",
        )
        return teacher, f"Distillation(teacher, images.class_names{rest})"
    if run.method == "logic rules":
        module, _, function = told["rules"].partition(":")
        shipped = module == "tl_helpers.knowledge"
        rules = f"knowledge.{function}()" if shipped else f"resolve_name({_quoted(told['rules'])})()"
        return (), f"LogicRules({rules}{rest})"
    return (), f"{'L2SP' if run.method == 'L2-SP' else 'AttentionTransfer'}({given})"


def _where(setting):
    return [pair for pair in PAIRS if setting in offered(pair)]


def _layers(network):
    """Describe the trunk: name, output shape and number of weights of each layer."""
    from tl_helpers import models

    table = models.parameter_table(network).loc[list(LAYERS)]
    return [{"name": row.Index, "output": row.output, "parameters": int(row.parameters)} for row in table.itertuples()]


def _pair(name, network, pictures):
    """Describe a pair of tasks; ``head`` counts the weights of a linear head on the trunk."""
    source, target = PAIRS[name]
    classes, features = CLASSES[name], int(np.prod(network.get_layer(LAYERS[-1]).output.shape[1:]))
    card = {"name": name, "title": TITLES[name], "source": source, "target": target}
    card |= {"classes": classes, "tested": TESTED[name], "head": (features + 1) * classes}
    return card | (_gallery(target) if pictures else {})


def _gallery(target):
    """Put the test images whose answers are recorded into one picture; nothing where the data are not here."""
    try:
        dataset = data.load(target.partition("-")[0], complete=True)
    except data.DataUnavailable:
        return {}  # the explorer says that it was made without them
    if target == "cifar10-b":
        dataset = data.only(dataset, data.CIFAR10_B, target)
    test = data.evenly_spaced(dataset.rows(dataset.held_out), ANSWERED)
    rows = ANSWERED // ACROSS
    tiles = test.images.reshape(rows, ACROSS, TILE, TILE, 3).swapaxes(1, 2).reshape(rows * TILE, ACROSS * TILE, 3)
    stored = io.BytesIO()
    Image.fromarray(tiles).save(stored, "WEBP", quality=60)
    picture = "data:image/webp;base64," + base64.b64encode(stored.getvalue()).decode()
    return {"names": list(test.class_names), "truth": "".join(map(str, test.labels)), "picture": picture}
