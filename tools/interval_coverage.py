"""How often the interval of a pooled contrast covers the truth, on simulated records: `make coverage`.

Differences of two arms are drawn with known spreads of trainings, draws and rest, in the shapes that the plan has;
`contrasts.estimate` is to cover the true mean in 95 of 100. The table is printed and written for the page of results.
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
# Standard deviations, in points, of trainings, draws and rest.
TRUTHS = (
    (0.0, 0.0, 1.0),
    (1.0, 0.0, 1.0),
    (0.0, 1.0, 1.0),
    (2.0, 0.0, 1.0),
    (0.0, 2.0, 1.0),
    (1.0, 1.0, 0.0),
    (1.0, 0.0, 0.0),
    (0.0, 1.0, 0.0),
    (0.3, 1.0, 1.0),
    (1.0, 0.3, 1.0),
    (0.5, 0.5, 1.0),
    (1.0, 1.0, 1.0),
    (2.0, 2.0, 1.0),
)
CNN, RESIDUAL = (5, 5), (3, 5)
# For each block the tables, trainings × draws; "no source" has one arm with a value a draw, "lost" has lost cells.
DESIGNS = {
    "5 × 5": ((CNN,),),
    "3 × 5": ((RESIDUAL,),),
    "5 × 5 and 3 × 5": ((CNN, RESIDUAL),),
    "two blocks of 5 × 5": ((CNN,), (CNN,)),
    "two blocks of both": ((CNN, RESIDUAL), (CNN, RESIDUAL)),
    "one arm without a source": ((CNN,),),
    "5 × 5, two cells lost": ((CNN,),),
    "5 × 3": (((5, 3),),),
}
RANKED = (5, 3, 5, 3, 1)  # trainings of each kind of source


def block(shapes, truth, generator, sourceless=False):
    """Draw the tables of a block: they share the draws' part, each has trainings of its own."""
    of_source, of_draw, rest = truth
    shared = of_draw * generator.normal(size=shapes[0][1])
    tables = []
    for rows, columns in shapes:
        own = of_source * generator.normal(size=(rows, 1)) + rest * generator.normal(size=(rows, columns))
        tables.append(MEAN + shared + own)
        if sourceless:  # the other arm has a draw's own noise, the same beside each training
            tables[-1] = tables[-1] - rest * generator.normal(size=columns)
    return tables


def covers(name, truth, generator):
    """Simulate records of one design; tell whether the interval covers the mean."""
    blocks = [block(shapes, truth, generator, "without a source" in name) for shapes in DESIGNS[name]]
    if "lost" in name:
        blocks[0][0][generator.permutation(5)[:2], generator.permutation(5)[:2]] = np.nan
    found = contrasts.estimate(blocks).interval()
    return found.low <= MEAN <= found.high


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


def coverage(count, seed=0, designs=tuple(DESIGNS), truths=TRUTHS):
    """Return the share of intervals that cover, for each design and truth."""
    rows = []
    for name, truth in itertools.product(designs, truths):
        generator = np.random.default_rng([seed, list(DESIGNS).index(name), TRUTHS.index(truth)])
        share = float(np.mean([covers(name, truth, generator) for _ in range(count)]))
        rows.append({"design": name, "trainings": truth[0], "draws": truth[1], "rest": truth[2], "covered": share})
    return rows


def main(arguments=None):
    """Print the table and write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1000, help="simulations of each case")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    options = parser.parse_args(arguments)
    rows = coverage(options.count)
    for row in rows:
        print(f"{row['design']:26} {row['trainings']:4} {row['draws']:4} {row['rest']:4}  {row['covered']:.3f}")
    generator = np.random.default_rng(0)
    ranked = [{"noise": noise, "covered": ranks_cover(noise, options.count, generator)} for noise in (0.5, 1.0, 3.0)]
    for row in ranked:
        print(f"{'ranks of 17 sources':26} {row['noise']:4}  {row['covered']:.3f}")
    text = json.dumps({"simulations": options.count, "cases": rows, "ranks": ranked}, indent=1, ensure_ascii=False)
    options.output.parent.mkdir(exist_ok=True)
    options.output.write_text(text + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
