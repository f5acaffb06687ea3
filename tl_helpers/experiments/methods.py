"""The grids of chapter 3: every method at five labels per class, on near and on far pairs.

Taught in: chapter 3 (The three methods).
"""

from tl_helpers.experiments.grid import Grid
from tl_helpers.experiments.worked_example import DEVELOPMENT_SEEDS, FEW_SHOT, chosen_learning_rates

PAIRS = (("cifar10", "mnist"), ("cifar10", "digits"), ("cifar10-a", "cifar10-b"), ("digits", "mnist"))
RATES = (3e-4, 1e-3, 3e-3, 1e-2)
TRIED_ON = DEVELOPMENT_SEEDS[:3]
SEEDS = range(5)
# Strengths are fixed, not chosen: each arm's trials go to its learning rate, as many for one arm as for another.
ARMS = {
    "linear head, source features": {},
    "linear head, random features": {"initialisation": ["random"]},
    "fine-tuned from the source": {"method": ["parameter transfer"]},
    "LP-FT": {"method": ["LP-FT"], "settings": [{"probe_steps": 100}]},
    "L2-SP": {"method": ["L2-SP"], "settings": [{"alpha": 0.1}]},
    "attention transfer": {"method": ["attention transfer"], "settings": [{"strength": 10.0}]},
    "from scratch": {"method": ["from scratch"]},
    "logistic regression on pixels": {"layer": ["rescale"], "settings": [{"standardise": False}]},
}


def trials(table=None):
    """Return the grids that choose: every arm and pair, four rates, three development seeds, no test set."""
    axes = {"pairs": PAIRS, "learning_rate": RATES, "seed": TRIED_ON, "test": False, **FEW_SHOT}
    return [Grid("trials", **axes, **own, arm=arm) for arm, own in ARMS.items()]


def methods(table):
    """Return the grids that compare the methods: the rates that `table` chose, five other seeds, the test set once."""
    rates = chosen_learning_rates(table, ("source", "target", "arm"), "trials")
    return [
        Grid("methods", pairs=[pair], learning_rate=[rates.loc[(*pair, arm)]], seed=SEEDS, **FEW_SHOT, **own, arm=arm)
        for pair in PAIRS
        for arm, own in ARMS.items()
    ]
