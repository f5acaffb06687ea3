"""How often the interval of a contrast covers the truth, on simulated records: `make coverage`.

Differences of two arms are drawn with known spreads of trainings and draws, in the shapes that the plan has;
`contrasts.estimate` is to cover the true mean in 95 of 100. At the level at which Holm's procedure decides the first of
thirty hypotheses, the share of wrong decisions is counted too. Both are printed and written for the page of results.
"""

import argparse
import itertools
import json
import sys
from pathlib import Path

import numpy as np

from tl_experiments import contrasts

OUTPUT = Path(contrasts.__file__).parent / "assets" / "coverage.json"
MEAN = 1.5  # points; what it is does not matter
TRUTHS = ((0.0, 1.0), (1.0, 0.0), (0.5, 1.0), (1.0, 1.0), (2.0, 1.0))  # points: spread of trainings, of draws
RATIOS = (1 / 3, 1.0, 3.0)  # spread of the last table by that of the first
CNN, RESIDUAL = (5, 2), (3, 2)
# For each pair of tasks the tables, trainings × draws.
DESIGNS = {
    "one pair, one network": ((CNN,),),
    "one pair, one draw": (((5, 1),),),
    "two pairs, one network": ((CNN,), (CNN,)),
    "two pairs, one draw": (((5, 1),), ((5, 1),)),
    "two pairs, two networks": ((CNN, RESIDUAL), (CNN, RESIDUAL)),
    "two runs lost": ((CNN,), (CNN,)),
}
SMALL = contrasts.LEVEL / 30
RANKED = (5, 3, 5, 3, 1)  # trainings of each kind of source


def table(shape, truth, generator):
    """Draw the differences of an architecture: a row a training, in it its own draws."""
    rows, columns = shape
    of_training, of_draw = truth
    return MEAN + of_training * generator.normal(size=(rows, 1)) + of_draw * generator.normal(size=(rows, columns))


def simulated(name, truth, ratio, generator):
    """Estimate the contrast of one design's simulated records."""
    blocks = [[table(shape, truth, generator) for shape in block] for block in DESIGNS[name]]
    last = blocks[-1][-1]
    last[:] = MEAN + ratio * (last - MEAN)
    if "lost" in name:
        for row, column in ((0, 1), (3, 0)):
            blocks[0][0][row, column] = np.nan
    return contrasts.estimate(blocks)


def ranks(generator, noise):
    """Simulate two numbers of independent sources, the kinds fixed; return the estimate of their rank correlation."""
    kinds = [str(kind) for kind, count in enumerate(RANKED) for _ in range(count)]
    level = np.array([float(kind) for kind in kinds])
    pairs = [
        (level + noise * generator.normal(size=len(kinds)), level + noise * generator.normal(size=len(kinds)))
        for _ in range(2)
    ]
    return contrasts.rank_estimate(pairs, kinds)


def ranks_cover(noise, count, generator):
    """Return the share of rank intervals that cover the mean of the estimates."""
    found = [ranks(generator, noise) for _ in range(count)]
    truth = np.mean([one.mean for one in found])
    return float(np.mean([one.interval().low <= truth <= one.interval().high for one in found]))


def coverage(count, seed=0, designs=tuple(DESIGNS), truths=TRUTHS, ratios=RATIOS):
    """Return the share of intervals that cover, for each design, truth and ratio."""
    rows = []
    for name, truth, ratio in itertools.product(designs, truths, ratios):
        generator = np.random.default_rng([seed, list(DESIGNS).index(name), TRUTHS.index(truth), RATIOS.index(ratio)])
        found = [simulated(name, truth, ratio, generator).interval() for _ in range(count)]
        share = float(np.mean([one.low <= MEAN <= one.high for one in found]))
        about = {"design": name, "trainings": truth[0], "draws": truth[1], "ratio": round(ratio, 2)}
        rows.append(about | {"covered": share})
    return rows


def decisions(count, seed=0, designs=tuple(DESIGNS), ratios=RATIOS):
    """Return how often a decision at the level `SMALL` is wrong, as a multiple of that level."""
    rows = []
    for name, ratio in itertools.product(designs, ratios):
        generator = np.random.default_rng([seed, list(DESIGNS).index(name), RATIOS.index(ratio), 1])
        found = [simulated(name, (1.0, 1.0), ratio, generator) for _ in range(count)]
        wrong = float(np.mean([abs(one.mean - MEAN) > one.half_width(SMALL) for one in found]))
        rows.append({"design": name, "ratio": round(ratio, 2), "times": wrong / SMALL})
    return rows


def main(arguments=None):
    """Print the tables and write them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1000, help="simulations of each case")
    parser.add_argument("--decisions", type=int, default=10_000, help="simulations of decisions at a small level")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    options = parser.parse_args(arguments)
    cases = coverage(options.count)
    for row in cases:
        print(f"{row['design']:26} {row['trainings']:4} {row['draws']:4} {row['ratio']:4}  {row['covered']:.3f}")
    decided = decisions(options.decisions)
    for row in decided:
        print(f"{row['design']:26} {row['ratio']:4}  wrong {row['times']:.2f} times as often as {SMALL:.4f}")
    generator = np.random.default_rng(0)
    ranked = [{"noise": noise, "covered": ranks_cover(noise, options.count, generator)} for noise in (0.5, 1.0, 3.0)]
    for row in ranked:
        print(f"{'ranks of 17 sources':26} {row['noise']:4}  {row['covered']:.3f}")
    kept = {"simulations": options.count, "cases": cases, "level": SMALL, "decisions": decided, "ranks": ranked}
    text = json.dumps(kept, indent=1, ensure_ascii=False)
    options.output.parent.mkdir(exist_ok=True)
    options.output.write_text(text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
