"""The explorer's "Copy code": what it prints does the run that the records tell of, whatever a grid can ask for."""

import ast

import pytest

import tl_experiments as experiments
from tl_experiments import Run, workbench
from tl_helpers import records

# Ten steps: then a curve has a point a step, however many are asked for, and curves can be compared.
SMALL = {"pairs": [("toy_experiments:small", "toy_experiments:few")], "layer": ["second"], "layers_copied": [2]}
SMALL |= {"seed": [3], "steps": 10, "learning_rate": [0.0123456789]}
FULL = {"labels_per_class": [None], "steps": 2, "epochs": 1}
CASES = {
    "pixels as they are, scored on validation images": {
        "pairs": [("cifar10", "digits")],
        "layer": ["rescale"],
        "settings": [{"standardise": False}],
        "test": False,
    },
    "a head of its own on random features": {"initialisation": ["random"], "head": [(8, 6)], "labels_per_class": [2]},
    "features of base B": {"initialisation": ["target"], "layer": ["flat"]},
    "a recurrent source": {"pairs": [("cifar10-rows", "toy_experiments:few")], "layer": ["gru"]},
    "some frozen, others at a rate of their own": {
        "method": ["parameter transfer"],
        "layers_frozen": [1],
        "head": [(8,)],
        "settings": [{"head_rate": 0.05}],
    },
    "frozen random layers": {"method": ["parameter transfer"], "initialisation": ["random"], "layers_frozen": [2]},
    "copied from base B": {
        "method": ["parameter transfer"],
        "initialisation": ["target"],
        "layers_copied": [1],
        "settings": [{"base_rate": 0.003}],
        "label_noise": 0.3,
    },
    "two phases": {"method": ["LP-FT"], "layers_frozen": [1]},
    "two phases of a full set": {"method": ["LP-FT"], **FULL, "settings": [{"probe_steps": 3, "head_rate": 0.02}]},
    "L2-SP with whole numbers": {"method": ["L2-SP"], "settings": [{"alpha": 1, "beta": 1}], "layers_copied": [1]},
    "a teacher by name": {
        "method": ["distillation"],
        "initialisation": ["random"],
        "settings": [{"teacher": "digits", "temperature": 2, "weight": 0.75}],
    },
    "a teacher of other labels": {
        "method": ["distillation"],
        "settings": [{"teacher": 4}],
        "label_noise": 0.2,
        "head": [(8,)],
    },
    "attention at a layer": {
        "method": ["attention transfer"],
        "settings": [{"strength": 50.0, "layers": ["second"]}],
        "layer": ["flat"],
    },
    "rules of another module": {
        "method": ["logic rules"],
        "settings": [{"rules": "toy_experiments:rules", "strength": 2.0, "weight": 0.25}],
        "layers_copied": [1],
    },
    "branches and a network inside, frozen up to a branch": {
        "pairs": [("toy_experiments:branched", "toy_experiments:few")],
        "method": ["parameter transfer"],
        "layer": ["pool"],
        "layers_copied": [5],
        "layers_frozen": [3],
    },
    "features of branches": {"pairs": [("toy_experiments:branched", "toy_experiments:few")], "layer": ["both"]},
    "features behind dropout": {"pairs": [("toy_experiments:dropped", "toy_experiments:few")], "layer": ["pool"]},
    "features behind augmentation": {
        "pairs": [("toy_experiments:augmented", "toy_experiments:few")],
        "layer": ["pool"],
    },
    "all that a budget can say": {
        "method": ["parameter transfer"],
        "settings": [
            {"augment": "flip and shift", "rate_decay": 0.5, "schedule": "constant", "weight_decay": 0.1}
            | {"stop_early": True}
        ],
    },
    "a head that learns faster, behind a frozen layer": {
        "method": ["parameter transfer"],
        "layers_frozen": [1],
        "settings": [{"head_ratio": 3}],
        "learning_rate": [0.004],
    },
    "weights between the start and the end of fine-tuning": {
        "method": ["LP-FT"],
        "layers_frozen": [1],
        "settings": [{"average": 0.4, "head_ratio": 2.0, "weight_decay": 0.01}],
        "labels_per_class": [6],
    },
    "weights between start and end on a full set": {"method": ["LP-FT"], **FULL, "settings": [{"average": 0.5}]},
    "a teacher of the same labels": {
        "method": ["distillation"],
        "settings": [{"teacher": "same", "teacher_rate": 0.003, "temperature": 2.0}],
        "label_noise": 0.2,
    },
    "a teacher of the same labels on a full set, at the rate of the run": {
        "method": ["distillation"],
        "initialisation": ["random"],
        "settings": [{"teacher": "same"}],
        **FULL,
    },
    "rules that count more and more": {
        "method": ["logic rules"],
        "settings": [{"rules": "toy_experiments:rules", "weight": 0.5, "raised": True}],
    },
    "from scratch on a full set": {"method": ["from scratch"], "head": [(8,)], **FULL},
}


@pytest.mark.parametrize("axes", CASES.values(), ids=CASES)
def test_the_printed_code_does_the_run(axes):
    (run,) = experiments.Grid("code", **SMALL | axes).runs()
    (row,) = workbench.work([run])
    assert row["error"] == ""
    names = {}
    exec(run.code(), names)
    score = row["test_accuracy"] if run.test else row["validation_accuracy"]
    assert names["accuracy"] == pytest.approx(score, abs=0.02)
    assert names["result"].history.loss == pytest.approx(records.history(row)["loss"], rel=5e-3)
    assert names["result"].trainable_parameters == row["trainable_parameters"]


def test_heads_train_together_on_features_alone():
    """Behind dropout what is kept are no features: the runs are done one by one, and score as they do alone."""
    axes = SMALL | CASES["features behind dropout"] | {"seed": [3, 4], "measures": ["logme"]}
    runs = experiments.Grid("code", **axes).runs()
    together, alone = workbench.work(runs), [workbench.work([run])[0] for run in runs]
    assert [row["error"] for row in together] == ["", ""]
    assert [row["trainable_parameters"] for row in together] == [(6 + 1) * 10] * 2
    assert [row["test_accuracy"] for row in together] == [row["test_accuracy"] for row in alone]


@pytest.mark.parametrize(
    ("pair", "expected"),
    [
        (("cifar10", "mnist"), ['models.pretrained("cifar10")', 'data.load("mnist")']),
        (("cifar10-a", "cifar10-b"), ['models.pretrained("cifar10-a")', 'data.CIFAR10_B, "cifar10-b")']),
        (("cifar10#2", "cifar10-a"), ['trainings.load("cifar10#2")', 'data.CIFAR10_A, "cifar10-a")']),
        (("digits", "cifar10"), ['models.pretrained("digits")', 'data.load("cifar10")']),
        (("data:make", "models:Kept.make"), ['resolve_name("data:make")()', 'resolve_name("models:Kept.make")()']),
    ],
)
def test_source_and_target_are_those_of_the_run(pair, expected):
    (run,) = (
        experiments.Grid("code", [pair], method=["from scratch"], seed=[0]).runs()
        if ":" not in pair[0]
        else [next(experiments.Grid("code", [pair], seed=[0])._combinations())]
    )
    text = run.code()
    compile(text, "code", "exec")
    assert [part for part in expected if part not in text] == []


def test_every_record_that_ships_has_code_that_python_reads():
    table = records.load().drop_duplicates(["experiment", "source", "target", "arm", "settings"])
    for row in table.to_dict("records"):
        text = Run.of(row).code()
        assigned = [step for step in ast.parse(text).body if isinstance(step, ast.Assign)]
        (result,) = [step.value for step in assigned if step.targets[0].id == "result"]
        given = {keyword.arg: getattr(keyword.value, "value", None) for keyword in result.keywords}
        assert (given["learning_rate"], given["steps"]) == (row["learning_rate"], row["steps"])
        assert (given["batch_size"], given["seed"]) == (row["batch_size"], row["seed"])
        assert max(map(len, text.splitlines())) <= 88
    assert len(table) > 200
