"""One look for an arm: the same on every page, and no two arms alike."""

import ast
import itertools
import json

import notebooks
import numpy as np
import pytest
from matplotlib.colors import to_hex, to_rgb

from tl_base.figures import contrast
from tl_experiments import arms, drawing, evidence, figures
from tl_helpers import looks, plots

RECORDED = evidence.COMPARED[0][1] | evidence.SWEEP | evidence.BETWEEN | arms.OF_LARGE
MAIN = list(evidence.MAIN)
# Machado, Oliveira and Fernandes (2009), table 1: how linear RGB looks with each colour vision deficiency.
VISION = {
    "normal": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def lab(colour, vision):
    """Return a colour in CIELAB, as it looks with a kind of vision."""
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    to_xyz = [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
    xyz = to_xyz @ np.clip(VISION[vision] @ linear, 0, 1) / [0.95047, 1, 1.08883]
    root = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * root[1] - 16, 500 * (root[0] - root[1]), 200 * (root[1] - root[2])])


def drawn(line):
    """Return what is drawn of a series: colour, marker, dashes in widths of the line."""
    dashes = line._unscaled_dash_pattern[1]
    return to_hex(line.get_color()).upper(), line.get_marker(), tuple(dashes or ())


def expected(name):
    known = looks.look(name)
    return known.colour, known.marker, known.dash


@pytest.mark.parametrize("name", [*RECORDED, *(arm["name"] for arm in drawing.ARMS)])
def test_every_arm_of_the_records_and_of_the_drawing_page_has_a_look(name):
    assert looks.look(name) in looks.ARMS.values()


def test_no_two_arms_share_a_look_and_an_alias_is_no_arm():
    assert sum(map(len, looks.FAMILIES.values())) == len(looks.ARMS)  # none is listed twice
    assert len(set(looks.ARMS.values())) == len(looks.ARMS)
    assert not set(looks.ALIASES) & set(looks.ARMS)


def test_families_are_told_apart_with_every_colour_vision():
    for vision, (one, other) in itertools.product(VISION, itertools.combinations(looks.FAMILIES, 2)):
        assert np.linalg.norm(lab(one, vision) - lab(other, vision)) > 10, (one, other, vision)


@pytest.mark.parametrize("names", [
    MAIN, ["AnB", "AnB+", "BnB", "BnB+", "random, frozen"], ["from scratch", "fine-tuned, two rates", "linear probe"],
    ["fine-tuned from the source", "LP-FT", "L2-SP", "from scratch"],
    ["linear head, source features", "linear head, pixels"], [names[0] for names in looks.FAMILIES.values()],
])  # fmt: skip
def test_lines_of_one_figure_are_told_apart_without_colour(names):
    for part in ("marker", "dash"):
        assert len({getattr(looks.look(name), part) for name in names}) == len(names)


def test_every_colour_has_contrast_on_white():
    assert min(contrast(colour, "white") for colour in looks.FAMILIES) >= 4.5


@pytest.mark.parametrize("names", [MAIN, MAIN[::-1], ["mine", *MAIN[2:4]], [*evidence.CONSTRAINED, "mine"]])
def test_an_arm_looks_the_same_in_every_figure_whatever_stands_beside_it(names):
    scores = {name: {1: [0.1, 0.2], 2: [0.3, 0.4]} for name in names}
    history = type("History", (), {"steps": (1, 2), "loss": (2.0, 1.0), "validation_accuracy": (0.1, 0.2)})
    lines = {
        "log": [bars.lines[0] for bars in plots.curves(scores).axes[0].containers],
        "even": [bars.lines[0] for bars in plots.curves(scores, scale="even").axes[0].containers],
        "histories": plots.learning_curves(dict.fromkeys(names, history)).axes[0].lines,
    }
    for found in lines.values():
        shown = dict(zip(names, map(drawn, found), strict=True))
        assert {name: look for name, look in shown.items() if name != "mine"} == {
            name: expected(name) for name in names if name != "mine"
        }
        assert len(set(shown.values())) == len(names)
    points = figures.score_against_accuracy({name: {"a": (0.1, 0.2)} for name in names}, "score").axes[0].lines
    rows = [bars.lines[0] for bars in plots.intervals({name: [0.1, 0.2] for name in names}).axes[0].containers]
    for found in (points, rows):
        shown = dict(zip(names, [drawn(line)[:2] for line in found], strict=True))
        assert all(shown[name] == expected(name)[:2] for name in names if name != "mine")


def test_series_that_are_no_arm_get_what_is_free_by_position():
    found = looks.looks_of(["mine", "from scratch", "yours"])
    assert found["from scratch"] == looks.look("from scratch")
    assert [found["mine"], found["yours"]] == list(looks.INKS[:2])
    beside = looks.looks_of(["mine", "linear head, source features"])
    assert beside["mine"] == looks.INKS[1]  # blue is taken
    assert len(set(looks.looks_of("abcdefg").values())) == 7
    assert len(looks.looks_of("abcdefghij", repeat=True)) == 10


@pytest.mark.parametrize("names", [[], list("abcdefgh")])
def test_series_that_cannot_be_told_apart_are_refused(names):
    with pytest.raises(ValueError, match=f"found {len(names)}"):
        looks.looks_of(names)


def test_the_pages_call_an_arm_by_its_own_name(root):
    """A short label would hide which arm it is. The drawing page has no room for more, and its chapter quotes it."""
    sources = {
        path.stem: [cell.source for cell in notebooks.read(path).cells if cell.cell_type == "code"]
        for path in notebooks.chapters()
    }
    cells = {
        page: [ast.parse(text) for text in texts if not text.startswith("%%writefile")]  # that one runs elsewhere
        for page, texts in sources.items()
    }
    words = {
        page: {node.value for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant)}
        for page, trees in cells.items()
    }
    assert sum(len(found & set(looks.ARMS)) for found in words.values()) > 30
    other = {page: found & set(looks.SHORT) for page, found in words.items() if page != "08_draw_it"}
    assert {page: found for page, found in other.items() if found} == {}


def test_the_interactive_pages_get_the_same_looks():
    told = json.loads(json.dumps(looks.as_json()))
    assert set(told) == {*looks.ARMS, *looks.ALIASES}
    for name, parts in told.items():
        dash = tuple(float(length) / 2 for length in parts["dash"].split())
        assert (parts["colour"], parts["marker"], dash) == expected(name)
