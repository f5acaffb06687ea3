"""The figures: what they show, how they are delivered, and what they leave alone."""

import struct
from types import SimpleNamespace

import matplotlib
import numpy as np
import pandas as pd
import pytest

from tl_helpers import plots
from tl_helpers.measures import Interval

PAIR = [("a", "b", True), ("a", "b", False), ("a", "b", False), ("a", "b", False)]
SCORES = {"one": {1: [0.2, 0.4], 10: [0.7, 0.8]}, "two": {1: [0.3, 0.3], 10: [0.6, 0.9]}}
HISTORY = SimpleNamespace(steps=(10, 20), loss=(2.0, 1.0), validation_accuracy=(0.3, 0.6))
IMAGES = np.arange(3 * 8 * 8 * 3, dtype=np.uint8).reshape(3, 8, 8, 3)
RESPONSES = np.arange(3 * 4 * 4 * 3, dtype=np.float32).reshape(3, 4, 4, 3) ** np.array([1.0, 0.5, 2.0])
POINTS = np.array([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]])
SWEEP = {"one": {"first": [0.1, 0.2, 0.3], "second": [0.5]}, "two": {"second": [0.4, 0.6]}}
GAINS = pd.DataFrame(
    {
        1: {"one": Interval(3.0, 1.0, 5.0, 9), "two": Interval(-2.0, -3.0, -1.0, 9)},
        5: {"one": Interval(0.5, -1.0, 2.0, 9)},
    }
)
FIGURES = {
    "image_grid": lambda: plots.image_grid(IMAGES, captions="abc"),
    "timeline": lambda: plots.timeline(
        [(1976, "ideas", "first"), (2014, "vision", "second"), (2014, "vision", "third")]
    ),
    "three_phases": plots.three_phases,
    "three_methods": plots.three_methods,
    "domain_and_task": lambda: plots.domain_and_task(PAIR),
    "pixel_histograms": lambda: plots.pixel_histograms({"one": IMAGES, "two": IMAGES // 2}),
    "learning_curves": lambda: plots.learning_curves({"one": HISTORY, "two": HISTORY}),
    "label_efficiency": lambda: plots.label_efficiency(SCORES, chance=0.1),
    "intervals": lambda: plots.intervals({"one": [0.1, 0.2, 0.4], "two": [0.3]}, reference=0),
    "layer_sweep": lambda: plots.layer_sweep({"copied": {0: [0.1, 0.2], 1: [0.3, 0.5]}}, baseline=("none", 0.2)),
    "transfer_plans": lambda: plots.transfer_plans({"AnB": ("A", 2, 2), "BnB+": ("B", 2, 0), "new": ("A", 0, 1)}),
    "probability_bars": lambda: plots.probability_bars({"T = 1": [0.1, 0.9], "T = 4": [0.4, 0.6]}, "ab"),
    "picture_rows": lambda: plots.picture_rows({"image": IMAGES, "map": IMAGES[:, ::4, ::4, 0]}, "abc"),
    "strength_sweep": lambda: plots.strength_sweep({"distance": {0: [2, 3], 0.1: [1, 2]}, "accuracy": {0: [0.5]}}),
    "channel_responses": lambda: plots.channel_responses(IMAGES, {"layer": RESPONSES}, "abc", channels=2),
    "projections": lambda: plots.projections({"one": POINTS, "two": -POINTS}, np.array([0, 1, 1]), "xy"),
    "cut_sweep": lambda: plots.cut_sweep(SWEEP, ["first", "second"]),
    "difference_map": lambda: plots.difference_map(GAINS, "labels"),
    "score_against_accuracy": lambda: plots.score_against_accuracy({"one": {"a": (0.1, 0.5)}}, "score"),
}


def texts(figure):
    return [text.get_text() for text in figure.findobj(matplotlib.text.Text)]


def shown(figure):
    data, metadata = figure._repr_mimebundle_()
    png = data["image/png"]
    assert png.startswith(b"\x89PNG")
    return struct.unpack(">II", png[16:24]), metadata["image/png"], png


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_sharp_light_and_on_white(name):
    figure = FIGURES[name]()
    (width, _), metadata, png = shown(figure)
    assert width == pytest.approx(2 * metadata["width"], abs=2)  # two pixels of the file for one of the page
    assert set(metadata) == {"width"}  # a fixed height would distort the picture on a narrow page
    assert len(png) < 200_000
    assert matplotlib.colors.to_hex(figure.get_facecolor()) == "#ffffff"


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_does_not_depend_on_the_readers_settings_and_leaves_them_alone(name):
    reference = shown(FIGURES[name]())[2]
    before = dict(matplotlib.rcParams)
    with matplotlib.rc_context({"axes.facecolor": "red", "lines.linewidth": 9, "font.size": 30, "axes.grid": False}):
        theirs = dict(matplotlib.rcParams)
        assert shown(FIGURES[name]())[2] == reference
        assert dict(matplotlib.rcParams) == theirs
    assert dict(matplotlib.rcParams) == before


def test_inks_differ_in_colour_and_marker_and_dash():
    for field in ("colour", "marker", "dash"):
        assert len({getattr(ink, field) for ink in plots.INKS}) == len(plots.INKS)


@pytest.mark.parametrize("labels", [[], list("abcdefgh")])
def test_inks_refuse_what_cannot_be_told_apart(labels):
    with pytest.raises(ValueError, match=f"found {len(labels)}"):
        plots.inks(labels)


def test_image_grid_shows_every_image_pixel_by_pixel():
    figure = plots.image_grid(IMAGES, captions=["x", "y", "z"], columns=2)
    drawn = [axis.images[0].get_array() for axis in figure.axes if axis.images]
    assert np.array_equal(drawn, IMAGES)
    assert {"x", "y", "z"} <= set(texts(figure))


def test_image_grid_does_not_stretch_dark_grey_images():
    axis = plots.image_grid(np.full((1, 4, 4), 100, np.uint8)).axes[0]
    assert axis.images[0].get_clim() == (0, 255)
    assert plots.image_grid(np.full((1, 4, 4), 0.5)).axes[0].images[0].get_clim() == (0, 1)


@pytest.mark.parametrize(("images", "captions", "found"), [(IMAGES[:0], None, "none"), (IMAGES, ["a"], "found 1")])
def test_image_grid_refuses(images, captions, found):
    with pytest.raises(ValueError, match=found):
        plots.image_grid(images, captions)


def test_timeline_spreads_labels_in_order_and_keeps_the_dots_true():
    events = [(2014, "b", "late"), (1976, "a", "early"), (2014, "a", "also late"), (2013, "b", "middle")]
    axis = plots.timeline(events).axes[0]
    places = {text.get_text(): text.get_position()[1] for text in axis.texts}
    assert places["early"] < places["middle"] < places["also late"] < places["late"]
    assert places["late"] - places["also late"] > 1  # a label's height, in years
    dots = sorted(
        line.get_ydata()[0] for line in axis.lines if line.get_marker() == "o" and list(line.get_xdata()) == [0]
    )
    assert dots == [1976, 2013, 2014, 2014]


@pytest.mark.parametrize(
    ("places", "expected"), [([0, 10], [0, 10]), ([0, 0], [-0.5, 0.5]), ([0, 0.5, 1], [-0.5, 0.5, 1.5]), ([3], [3])]
)
def test_spread_moves_as_little_as_possible(places, expected):
    assert plots._spread(places, 1.0) == pytest.approx(expected)


def test_three_phases_says_what_happens_to_each_layer():
    said = texts(plots.three_phases())
    boxes = [text for text in said if "\n" in text]
    assert boxes[:4] == ["conv1\ntrained", "conv2\ntrained", "conv3\ntrained", "head\ntrained"]
    assert boxes[4:8] == ["conv1\ncopied", "conv2\ncopied", "conv3\ncopied", "head\nnew"]
    assert boxes[8:] == ["conv1\nfrozen", "conv2\nfine-tuned", "conv3\nfine-tuned", "head\ntrained"]


def test_three_phases_tells_copied_from_new_by_more_than_colour():
    patches = plots.three_phases().axes[0].patches
    hatched = [bool(patch.get_hatch()) for patch in patches if isinstance(patch, matplotlib.patches.Rectangle)]
    assert hatched == [False] * 4 + [True, True, True, False] * 2


def test_three_methods_says_what_each_does_to_each_layer():
    figure = plots.three_methods()
    states = [text.split("\n")[1] for text in texts(figure) if "\n" in text]
    assert states == ["frozen"] * 3 + ["trained"] + ["fine-tuned"] * 3 + ["trained"] + ["trained"] * 4
    patches = [patch for patch in figure.axes[0].patches if isinstance(patch, matplotlib.patches.Rectangle)]
    assert [bool(patch.get_hatch()) for patch in patches] == ([True] * 3 + [False]) * 2 + [False] * 5


def test_domain_and_task_marks_what_is_equal():
    said = texts(plots.domain_and_task(PAIR, "from here", "to there"))
    assert said.count("=") == 1
    assert said.count("≠") == 3
    assert {"from here", "to there"} <= set(said)


def test_pixel_histograms_are_shares():
    axis = plots.pixel_histograms({"one": np.array([0, 0, 0, 255], np.uint8)}, bins=4).axes[0]
    assert axis.patches[0].get_data().values == pytest.approx([0.75, 0, 0, 0.25])


def test_learning_curves_draw_the_history():
    figure = plots.learning_curves(
        {"a": HISTORY, "no validation": SimpleNamespace(steps=(1,), loss=(1.0,), validation_accuracy=())}
    )
    top, bottom = figure.axes
    assert list(top.lines[0].get_ydata()) == [2.0, 1.0]
    assert list(bottom.lines[0].get_ydata()) == [0.3, 0.6]
    assert (len(top.lines), len(bottom.lines)) == (2, 1)


def test_mean_interval_is_students():
    mean, half = plots.mean_interval([1.0, 2.0, 3.0])
    assert mean == pytest.approx(2)
    assert half == pytest.approx(4.302653 / 3**0.5)  # t(2, 0.975) from a printed table, standard deviation 1
    assert plots.mean_interval([0.5]) == (0.5, 0.0)


@pytest.mark.parametrize("values", [[], [1.0, np.nan], [[1.0, 2.0]]])
def test_mean_interval_refuses(values):
    with pytest.raises(ValueError, match="finite numbers"):
        plots.mean_interval(values)


def test_label_efficiency_draws_means_seeds_and_chance():
    axis = plots.label_efficiency({"arm": {1: [0.2, 0.4], 10: [0.7, 0.9]}}, chance=0.1).axes[0]
    lines = {line.get_label(): list(line.get_ydata()) for line in axis.lines}
    assert lines["arm"] == pytest.approx([0.3, 0.8])
    assert lines["guessing"] == [0.1, 0.1]
    assert [label.get_text() for label in axis.get_xticklabels()] == ["1", "10"]
    assert sorted(y for line in axis.lines if line.get_marker() == "." for y in line.get_ydata()) == [
        0.2,
        0.4,
        0.7,
        0.9,
    ]


def test_intervals_put_the_first_arm_on_top_with_its_interval():
    axis = plots.intervals({"first": [1.0, 2.0, 3.0], "second": [5.0]}).axes[0]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["first", "second"]
    assert axis.get_ylim()[0] > axis.get_ylim()[1]
    bars = [segment.get_segments()[0] for segment in axis.collections]
    assert bars[0][1][0] - bars[0][0][0] == pytest.approx(2 * 4.302653 / 3**0.5)
    assert bars[1][1][0] == bars[1][0][0]


def test_layer_sweep_draws_a_panel_a_sweep_on_one_scale():
    figure = plots.layer_sweep({"copied": {0: [1.0, 2.0, 3.0], 2: [5.0]}, "frozen": {1: [4.0]}}, baseline=("none", 0.5))
    left, right = figure.axes
    assert (left.get_xlabel(), right.get_xlabel()) == ("copied", "frozen")
    assert list(left.get_xticks()) == [0, 2]
    assert left.get_ylim() == right.get_ylim()
    means = [list(line.get_ydata()) for line in left.lines if line.get_marker() == "o"]
    assert means == [[2.0, 5.0]]
    dots = [list(line.get_ydata()) for line in left.lines if line.get_marker() == "."]
    assert dots == [[1.0, 2.0, 3.0], [5.0]]
    for axis in (left, right):
        assert [list(line.get_ydata()) for line in axis.lines if line.get_label() == "none"] == [[0.5, 0.5]]
    bars = left.collections[0].get_segments()
    assert bars[0][1][1] - bars[0][0][1] == pytest.approx(2 * 4.302653 / 3**0.5)


def test_transfer_plans_say_where_a_layer_starts_and_whether_it_is_trained():
    figure = plots.transfer_plans({"AnB": ("A", 2, 1), "BnB": ("B", 1, 0)}, layers=("low", "mid", "top"))
    said = [text for text in texts(figure) if "\n" in text]
    assert said == ["low\nfrom A", "mid\nfrom A", "top\nnew", "low\nfrom B", "mid\nnew", "top\nnew"]
    boxes = [patch for patch in figure.axes[0].patches if patch.get_width() > 0]
    assert [bool(box.get_hatch()) for box in boxes] == [True, True, False, True, False, False]
    assert boxes[0].get_hatch() != boxes[3].get_hatch()
    frozen = [matplotlib.colors.to_hex(box.get_facecolor()).upper() == plots.FROZEN for box in boxes]
    assert frozen == [True, False, False, False, False, False]


def test_probability_bars_write_the_largest_value_above_its_bar():
    figure = plots.probability_bars({"cool": [0.1, 0.9], "warm": [0.6, 0.4]}, ("cat", "dog"))
    cool, warm = figure.axes
    assert [patch.get_height() for patch in cool.patches] == [0.1, 0.9]
    assert [(text.get_text(), text.get_position()[0]) for text in (cool.texts[0], warm.texts[0])] == [
        ("0.90", 1),
        ("0.60", 0),
    ]
    assert [label.get_text() for label in warm.get_xticklabels()] == ["cat", "dog"]


def test_probability_bars_refuse_other_classes():
    with pytest.raises(ValueError, match="Expected 3 probabilities for 'cool', found shape"):
        plots.probability_bars({"cool": [0.1, 0.9]}, "abc")


def test_picture_rows_keep_their_order():
    figure = plots.picture_rows({"image": IMAGES, "map": IMAGES[:, ::4, ::4, 0]}, ["x", "y", "z"])
    shapes = [axis.images[0].get_array().shape for axis in figure.axes]
    assert shapes == [(8, 8, 3)] * 3 + [(2, 2)] * 3
    assert [axis.get_title() for axis in figure.axes[:3]] == ["x", "y", "z"]
    assert [figure.axes[i].get_ylabel() for i in (0, 3)] == ["image", "map"]


@pytest.mark.parametrize(
    ("rows", "captions"), [({"a": IMAGES, "b": IMAGES[:2]}, None), ({"a": IMAGES}, "xy"), ({"a": []}, None)]
)
def test_picture_rows_refuse_gaps(rows, captions):
    with pytest.raises(ValueError, match="as many pictures in every row"):
        plots.picture_rows(rows, captions)


def test_strength_sweep_draws_seeds_and_means_in_ascending_order():
    figure = plots.strength_sweep({"moved": {0.1: [1.0, 2.0], 0: [4.0, 6.0]}, "right": {0: [0.5], 0.1: [0.7]}}, "α")
    moved, right = figure.axes
    assert [list(line.get_ydata()) for line in moved.lines] == [[4, 6], [1, 2], [5, 1.5]]
    assert [label.get_text() for label in moved.get_xticklabels()] == ["0", "0.1"]
    assert (moved.get_title(), right.get_title(), moved.get_xlabel()) == ("moved", "right", "α")


def test_channel_responses_show_the_channels_that_vary_most_on_one_scale_an_image_and_layer():
    axes = plots.channel_responses(IMAGES, {"layer": RESPONSES}, "abc", channels=2).axes
    assert [axis.get_title() for axis in axes[:3]] == ["image", "layer\nno. 2", "layer\nno. 0"]
    for row in range(3):
        image, first, second = (axis.images[0] for axis in axes[3 * row : 3 * row + 3])
        assert np.array_equal(image.get_array(), IMAGES[row])
        assert np.array_equal(first.get_array(), RESPONSES[row, ..., 2])
        assert np.array_equal(second.get_array(), RESPONSES[row, ..., 0])
        assert first.get_clim() == second.get_clim() == (0, RESPONSES[row][..., [0, 2]].max())


def test_projections_draw_each_point_as_its_class():
    figure = plots.projections({"one": POINTS, "two": -POINTS, "three": POINTS}, np.array([0, 1, 1]), ("x", "yes"))
    one, two, *_ = figure.axes
    assert [line.get_marker() for line in one.lines] == ["$x$", "$y$"]
    assert np.array_equal(one.lines[1].get_xydata(), POINTS[1:])
    assert np.array_equal(two.lines[0].get_xydata(), -POINTS[:1])
    assert len({line.get_color() for line in one.lines}) == 2
    assert [axis.get_title() for axis in figure.axes if axis.axison] == ["one", "two", "three"]


def test_projections_have_ten_colours_and_refuse_more_classes():
    assert len(set(plots.CLASS_COLOURS)) == 10
    with pytest.raises(ValueError, match="at most 10 classes, found 11"):
        plots.projections({"one": POINTS}, np.zeros(3, int), "abcdefghijk")


def test_cut_sweep_puts_means_and_intervals_at_their_layers():
    axis = plots.cut_sweep(SWEEP, ["first", "second"]).axes[0]
    assert [label.get_text() for label in axis.get_xticklabels()] == ["first", "second"]
    one, two = axis.containers
    assert one.lines[0].get_ydata() == pytest.approx([0.2, 0.5])
    assert two.lines[0].get_ydata() == pytest.approx([0.5])
    assert np.round(one.lines[0].get_xdata()).tolist() == [0, 1]
    assert np.round(two.lines[0].get_xdata()).tolist() == [1]  # an arm that lacks a layer does not move to another's
    low, high = one.lines[2][0].get_segments()[0][:, 1]
    assert high - low == pytest.approx(2 * 4.302653 * 0.1 / 3**0.5)


def test_score_against_accuracy_names_its_points():
    figure = plots.score_against_accuracy(
        {"one": {"a": (0.1, 0.5), "b": (0.2, 0.6)}, "two": {"c": (0.3, 0.7)}}, "score"
    )
    axis = figure.axes[0]
    assert {text.get_text(): text.xy for text in axis.texts} == {"a": (0.1, 0.5), "b": (0.2, 0.6), "c": (0.3, 0.7)}
    assert np.array_equal(axis.lines[0].get_xydata(), [[0.1, 0.5], [0.2, 0.6]])
    assert axis.lines[0].get_marker() != axis.lines[1].get_marker()


def test_score_against_accuracy_keeps_names_apart():
    points = {"one": {"a": (0.1, 0.5), "b": (0.1, 0.5), "c": (0.1, 0.9)}, "two": {"d": (0.1, 0.5)}}
    texts_of = {text.get_text(): text for text in plots.score_against_accuracy(points, "score").axes[0].texts}
    assert texts_of["b"].xyann[1] - texts_of["a"].xyann[1] == pytest.approx(0.05 * 0.4)
    assert texts_of["c"].xyann[1] == pytest.approx(0.9)
    assert texts_of["a"].xyann[0] > 0 > texts_of["d"].xyann[0]  # the second series on the other side


def test_score_against_accuracy_leaves_names_out_where_there_is_no_room():
    axis = plots.score_against_accuracy({"one": {"a": (0.1, 0.5), "b": (0.2, 0.6)}}, "score", named=False).axes[0]
    assert not axis.texts
    assert np.array_equal(axis.lines[0].get_xydata(), [[0.1, 0.5], [0.2, 0.6]])


def test_difference_map_brackets_what_is_not_told_apart_and_leaves_gaps_empty():
    axis = plots.difference_map(GAINS, "labels").axes[0]
    found = {text.get_position(): text.get_text() for text in axis.texts}
    assert found == {(0, 0): "+3.0", (0, 1): "-2.0", (1, 0): "(+0.5)"}
    picture = axis.images[0]
    assert picture.get_clim() == (-3, 3)  # zero is in the middle: the sign of a difference is its colour
    assert [label.get_text() for label in axis.get_yticklabels()] == ["one", "two"]
