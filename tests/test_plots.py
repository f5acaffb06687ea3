"""The figures: what they show, how they are delivered, and what they leave alone."""

import functools
import io
import itertools
import struct
from types import SimpleNamespace

import matplotlib
import numpy as np
import pandas as pd
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from PIL import Image

from tl_base import figures
from tl_experiments import figures as of_records
from tl_helpers import data, plots
from tl_helpers.measures import Interval

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
SURE = np.array([[0.1, 0.9], [0.6, 0.4], [0.3, 0.7]])
ANSWERS = SimpleNamespace(predictions=np.array([1, 0, 1]), shares=SURE)
RIGHT = SimpleNamespace(predictions=np.array([0, 0, 0]), shares=SURE)


def LABELLED(name):  # noqa: N802 # beside the other samples
    return data.Dataset(IMAGES, np.zeros(3, "int64"), (name, "other"), "mine", "mine", np.ones(3, bool))


# Each figure with a name that a reader could give: the tests draw all of them with odd ones.
FIGURES = {
    "image_grid": lambda name: plots.image_grid(IMAGES[:1], [name]),
    "picture_rows": lambda name: plots.picture_rows({name: [IMAGES[0], RESPONSES[0, ..., 0]]}, [name, "map"]),
    "pixel_histograms": lambda name: plots.pixel_histograms({name: IMAGES, "half": IMAGES // 2}),
    "learning_curves": lambda name: plots.learning_curves({name: HISTORY, "two": HISTORY}),
    "curves": lambda name: plots.curves({name: SCORES["one"], "two": SCORES["two"]}, ylabel=name, chance=0.1),
    "curves, even": lambda name: plots.curves({name: {name: [0.1, 0.2]}}, name, scale="even"),
    "panels": lambda name: plots.panels({name: {0: [1.0, 2.0], 0.1: [2.0]}}, name, baseline=(name, 0.2), spread=True),
    "intervals": lambda name: plots.intervals({name: [0.1, 0.2, 0.4], "two": [0.3]}, xlabel=name, reference=0),
    "mistakes": lambda name: plots.mistakes(ANSWERS, LABELLED(name)),
    "confusion": lambda name: plots.confusion([[1, 2], [3, 4]], [name, "other"]),
    "probability_bars": lambda name: plots.probability_bars({name: [0.1, 0.9]}, [name, "other"]),
    "difference_map": lambda name: of_records.difference_map(
        pd.DataFrame({name: {name: Interval(1.0, 0.5, 2.0, 9)}}), name
    ),
    "side_by_side": lambda name: of_records.side_by_side(
        {name: {name: {1: [0.1, 0.2], 5: [0.3, 0.4]}}, "two": {name: {1: [0.2, 0.3]}}},
        {name: "from scratch"},
        {name: 0.1, "two": 0.1},
    ),
    "score_against_accuracy": lambda name: of_records.score_against_accuracy({name: {name: (0.1, 0.5)}}, name),
}


def texts(figure):
    return [text.get_text() for text in figure.findobj(matplotlib.text.Text)]


def shown(figure):
    data, metadata = figure._repr_mimebundle_()
    png = data["image/png"]
    assert png.startswith(b"\x89PNG")
    return struct.unpack(">II", png[16:24]), metadata["image/png"], png


def test_every_figure_is_tried():
    drawn = {
        name
        for module in (plots, of_records)
        for name, each in vars(module).items()
        if hasattr(each, "__wrapped__") and name[0] != "_"
    }
    assert {name.split(",")[0] for name in FIGURES} == drawn


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_sharp_light_and_on_white_whatever_the_readers_settings(name):
    before = dict(matplotlib.rcParams)
    figure = FIGURES[name]("plain")
    (width, _), metadata, png = shown(figure)
    assert width == pytest.approx(2 * metadata["width"], abs=2)  # two pixels of the file for one of the page
    assert set(metadata) == {"width"}  # a fixed height would distort the picture on a narrow page
    assert len(png) < 200_000
    assert matplotlib.colors.to_hex(figure.get_facecolor()) == "#ffffff"
    with matplotlib.rc_context({"axes.facecolor": "red", "lines.linewidth": 9, "font.size": 30, "axes.grid": False}):
        theirs = dict(matplotlib.rcParams)
        assert shown(FIGURES[name]("plain"))[2] == png
        assert dict(matplotlib.rcParams) == theirs
    assert dict(matplotlib.rcParams) == before


# Pictures


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


def test_grey_images_are_grey_whatever_their_shape():
    grey = IMAGES[..., 0]
    for images in (grey, grey[..., None], grey / 255, list(grey)):
        assert plots.image_grid(images).axes[0].images[0].get_cmap().name == "gray"


def test_images_may_have_other_sizes():
    figure = plots.image_grid([IMAGES[0], IMAGES[1, :3], IMAGES[2, ..., 0]])
    assert [axis.images[0].get_array().shape for axis in figure.axes] == [(8, 8, 3), (3, 8, 3), (8, 8)]


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


def test_maps_are_scaled_from_zero_or_from_the_lowest_number_each_or_together():
    maps = [np.array([[1.0, 2.0]]), np.array([[-3.0, 4.0]])]
    for together, expected in ((False, [(0, 2), (-3, 4)]), (True, [(-3, 4), (-3, 4)])):
        axes = plots.picture_rows({"row": maps}, together=together).axes
        assert [axis.images[0].get_clim() for axis in axes] == expected


def test_the_strongest_channels_are_those_that_vary_most_and_share_a_scale_in_each_image():
    strongest = plots.strongest(RESPONSES, 2)
    assert list(strongest) == [2, 0]  # the square varies most, the root least
    for image in range(3):
        largest = RESPONSES[image][..., [0, 2]].max()
        for channel, maps in strongest.items():
            assert maps[image] == pytest.approx(RESPONSES[image, ..., channel] / largest)
    assert not plots.strongest(np.zeros((1, 2, 2, 1)))[0].any()  # a channel that is dead stays black


# Curves and comparisons


def dots(axis):
    return [list(line.get_ydata()) for line in axis.lines if line.get_marker() == "."]


def height_of(bars, place=0):
    return np.ptp(bars.lines[2][0].get_segments()[place][:, 1])


HALF = 4.302653 / 3**0.5  # of the interval of three values with standard deviation 1: t(2, 0.975) from a printed table


def test_curves_draw_means_seeds_and_chance_and_name_each_line_where_it_ends():
    axis = plots.curves({"low": {1: [0.1], 10: [0.2]}, "high": {1: [0.2, 0.4], 10: [0.7, 0.9]}}, chance=0.05).axes[0]
    low, high = axis.containers
    assert low.lines[0].get_ydata() == pytest.approx([0.1, 0.2])
    assert high.lines[0].get_ydata() == pytest.approx([0.3, 0.8])
    assert dots(axis) == [[0.1], [0.2], [0.2, 0.4], [0.7, 0.9]]
    assert [label.get_text() for label in axis.get_xticklabels()] == ["1", "10"]
    assert [text.get_text() for text in sorted(axis.texts, key=lambda text: text.get_position()[1])] == [
        "guessing",
        "low",
        "high",
    ]
    assert [text.get_color() for text in axis.texts[1:]] == [bars.lines[0].get_color() for bars in (low, high)]


def test_curves_over_layers_put_means_and_intervals_at_their_layers():
    axis = plots.curves(SWEEP, "cut after", scale="even").axes[0]
    assert [label.get_text() for label in axis.get_xticklabels()] == ["first", "second"]
    one, two = axis.containers
    assert one.lines[0].get_ydata() == pytest.approx([0.2, 0.5])
    assert two.lines[0].get_ydata() == pytest.approx([0.5])
    assert np.round(one.lines[0].get_xdata()).tolist() == [0, 1]
    assert np.round(two.lines[0].get_xdata()).tolist() == [1]  # an arm that lacks a layer does not move to another's
    assert height_of(one) == pytest.approx(2 * 0.1 * HALF)


def test_places_stand_in_the_order_that_is_asked_for():
    names = [
        label.get_text()
        for label in plots.curves(SWEEP, scale="even", order=["second", "first"]).axes[0].get_xticklabels()
    ]
    assert names == ["second", "first"]
    numbers = plots.curves({"arm": {10: [0.5], 2: [0.4]}}, scale="even").axes[0]
    assert [label.get_text() for label in numbers.get_xticklabels()] == ["2", "10"]
    assert numbers.containers[0].lines[0].get_ydata() == pytest.approx([0.4, 0.5])


def test_names_at_the_ends_of_lines_do_not_touch_and_stay_inside():
    arms = {f"arm number {i}": {1: [0.3], 10: [0.5 + i / 1000]} for i in range(6)} | {"best": {1: [0.9], 10: [0.95]}}
    figure = plots.curves(arms, chance=0.1)
    figure.draw_without_rendering()
    names = figure.axes[0].texts
    assert len(names) == 8
    assert overlaps(names, "y") == 0
    inside = figure.axes[0].get_window_extent()
    boxes = [text.get_window_extent() for text in names]
    assert min(box.y0 for box in boxes) >= inside.y0 - 1
    assert max(box.y1 for box in boxes) <= inside.y1 + 1
    assert max(box.x1 for box in boxes) <= figure.bbox.x1


def test_names_that_have_no_room_at_the_ends_stand_in_a_legend_in_their_order():
    long = "a network trained on another data set and then fine-tuned, with a learning rate of its own, number "
    arms = {f"{long}{i}": {1: [i / 10, i / 9], 10: [i / 8, i / 7]} for i in range(7)}
    figure = plots.curves(arms)
    figure.draw_without_rendering()
    (legend,) = figure.legends
    assert ["".join(text.get_text().split()) for text in legend.get_texts()] == ["".join(n.split()) for n in arms]
    assert legend.get_window_extent().x1 <= figure.bbox.x1
    assert figure.axes[0].get_window_extent().height > 150  # of 100 an inch
    assert not figure.axes[0].texts


def test_several_seeds_at_one_place_have_an_interval_that_is_seen():
    axis = plots.curves({"arm": {5: [0.2, 0.4, 0.6]}}).axes[0]
    assert height_of(axis.containers[0]) == pytest.approx(2 * 0.2 * HALF)
    band = plots.curves({"arm": {1: [0.2, 0.4, 0.6], 5: [0.2, 0.4, 0.6]}}).axes[0].collections[0]
    assert np.ptp(band.get_paths()[0].vertices[:, 1]) == pytest.approx(2 * 0.2 * HALF)


def test_one_seed_has_no_interval_anywhere():
    for figure in (
        plots.curves({"arm": {1: [0.5]}}),
        plots.curves({"arm": {"a": [0.5]}}, scale="even"),
        plots.intervals({"arm": [0.5]}),
        plots.panels({"arm": {0: [0.5]}}, spread=True),
    ):
        (bars,) = [each for axis in figure.axes for each in axis.containers]
        ends = np.concatenate([np.ravel(cap.get_xydata()[:, int(not bars.has_xerr)]) for cap in bars.lines[1]])
        assert np.isnan(ends).all()
    band = plots.curves({"arm": {1: [0.5], 2: [0.6, 0.7]}}).axes[0].collections[0].get_paths()
    assert all(1 not in path.vertices[:, 0] for path in band)


def test_panels_draw_seeds_and_means_in_ascending_order_on_scales_of_their_own():
    figure = plots.panels({"moved": {0.1: [1.0, 2.0], 0: [4.0, 6.0]}, "right": {0: [0.5], 0.1: [0.7]}}, "α")
    moved, right = figure.axes
    assert dots(moved) == [[4, 6], [1, 2]]
    assert list(moved.containers[0].lines[0].get_ydata()) == [5, 1.5]
    assert not moved.containers[0].has_yerr
    assert [label.get_text() for label in moved.get_xticklabels()] == ["0", "0.1"]
    assert (moved.get_title(), right.get_title(), moved.get_xlabel()) == ("moved", "right", "α")
    assert moved.get_ylim() != right.get_ylim()


def test_panels_of_one_quantity_share_its_scale_and_what_to_compare_with():
    sweeps = {"copied": {0: [1.0, 2.0, 3.0], 2: [5.0]}, "frozen": {1: [4.0]}}
    figure = plots.panels(sweeps, "layers", "accuracy", baseline=("none", 0.5), spread=True)
    left, right = figure.axes
    assert left.get_ylim() == right.get_ylim()
    assert (left.get_ylabel(), right.get_ylabel()) == ("accuracy", "")
    for axis in (left, right):
        assert [list(line.get_ydata()) for line in axis.lines if line.get_label() == "none"] == [[0.5, 0.5]]
    assert height_of(left.containers[0]) == pytest.approx(2 * HALF)


def test_panels_beyond_three_start_a_second_row_and_none_is_left_out():
    sweeps = {f"quantity {i}": {0: [i, i + 1.0]} for i in range(7)}
    figure = plots.panels(sweeps)
    figure.draw_without_rendering()
    axes = [axis for axis in figure.axes if axis.axison]
    assert [axis.get_title() for axis in axes] == list(sweeps)
    assert min(axis.get_window_extent().width for axis in axes) > 100


def test_a_legend_gives_way_to_the_lines():
    free = plots.panels({"layers": {0: [0.1, 0.1], 1: [0.9, 0.9]}}, baseline=("alone", 0.8))
    assert free.axes[0].get_legend()
    taken = plots.panels({"layers": {0: [0.9, 0.9], 1: [0.2, 0.2]}}, baseline=("alone", 0.21))
    assert not taken.axes[0].get_legend()
    assert taken.legends


def test_intervals_put_the_first_arm_on_top_with_its_interval():
    axis = plots.intervals({"first": [1.0, 2.0, 3.0], "second": [5.0]}).axes[0]
    assert [label.get_text() for label in axis.get_yticklabels()] == ["first", "second"]
    assert axis.get_ylim()[0] > axis.get_ylim()[1]
    first, second = (bars.get_segments() for bars in axis.collections)
    assert first[0][1][0] - first[0][0][0] == pytest.approx(2 * HALF)
    assert not [segment for segment in second if len(segment)]  # one seed has no interval


def test_learning_curves_draw_the_history():
    figure = plots.learning_curves(
        {"a": HISTORY, "no validation": SimpleNamespace(steps=(1,), loss=(1.0,), validation_accuracy=())}
    )
    top, bottom = figure.axes
    assert list(top.lines[0].get_ydata()) == [2.0, 1.0]
    assert list(bottom.lines[0].get_ydata()) == [0.3, 0.6]
    assert (len(top.lines), len(bottom.lines)) == (2, 1)


def test_a_loss_that_is_no_number_or_negative_is_told_or_shown():
    broken = SimpleNamespace(steps=(10, 20, 30), loss=(2.0, np.nan, np.inf), validation_accuracy=())
    below = SimpleNamespace(steps=(10, 20, 30), loss=(2.0, -1.0, -4.0), validation_accuracy=())
    figure = plots.learning_curves({"broken": broken, "below": below})
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "broken (loss not finite at step 20)",
        "below",
    ]
    assert figure.axes[0].get_ylim()[0] < -4
    assert "no validation images" in texts(figure)


def test_pixel_histograms_are_shares():
    axis = plots.pixel_histograms({"one": np.array([0, 0, 0, 255], np.uint8)}, bins=4).axes[0]
    assert axis.patches[0].get_data().values == pytest.approx([0.75, 0, 0, 0.25])


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


# About the records


def test_score_against_accuracy_names_its_points():
    figure = of_records.score_against_accuracy(
        {"one": {"a": (0.1, 0.5), "b": (0.2, 0.6)}, "two": {"c": (0.3, 0.7)}}, "score"
    )
    axis = figure.axes[0]
    assert {text.get_text(): text.xy for text in axis.texts} == {"a": (0.1, 0.5), "b": (0.2, 0.6), "c": (0.3, 0.7)}
    assert np.array_equal(axis.lines[0].get_xydata(), [[0.1, 0.5], [0.2, 0.6]])
    assert axis.lines[0].get_marker() != axis.lines[1].get_marker()


def test_score_against_accuracy_keeps_names_apart():
    points = {"one": {"a": (0.1, 0.5), "b": (0.1, 0.5), "c": (0.1, 0.9)}, "two": {"d": (0.1, 0.5)}}
    texts_of = {text.get_text(): text for text in of_records.score_against_accuracy(points, "score").axes[0].texts}
    assert texts_of["b"].xyann[1] - texts_of["a"].xyann[1] == pytest.approx(0.05 * 0.4)
    assert texts_of["c"].xyann[1] == pytest.approx(0.9)
    assert texts_of["a"].xyann[0] > 0 > texts_of["d"].xyann[0]  # the second series on the other side


def test_equal_accuracies_keep_their_names_apart_and_inside():
    figure = of_records.score_against_accuracy({"one": {f"name {i}": (i, 0.5) for i in range(40)}}, "score")
    figure.draw_without_rendering()
    names = figure.axes[0].texts
    inside = figure.axes[0].get_window_extent()
    boxes = [matplotlib.text.Text.get_window_extent(text) for text in names]  # without their lines
    heights = sorted((box.y0 + box.y1) / 2 for box in boxes)
    assert min(np.diff(heights)) > 9
    assert inside.y0 < heights[0] < heights[-1] < inside.y1


def test_difference_map_brackets_what_is_not_told_apart_and_leaves_gaps_empty():
    axis = of_records.difference_map(GAINS, "labels").axes[0]
    found = {text.get_position(): text.get_text() for text in axis.texts}
    assert found == {(0, 0): "+3.0", (0, 1): "-2.0", (1, 0): "(+0.5)"}
    picture = axis.images[0]
    assert picture.get_clim() == (-3, 3)  # zero is in the middle: the sign of a difference is its colour
    assert [label.get_text() for label in axis.get_yticklabels()] == ["one", "two"]


def test_small_differences_keep_two_digits_and_zeros_are_white():
    small = pd.DataFrame({"a": {"r": Interval(0.034, 0.01, 0.05, 9), "s": Interval(-0.002, -0.01, 0.01, 9)}})
    assert [text.get_text() for text in of_records.difference_map(small, "x").axes[0].texts] == ["+0.034", "(-0.002)"]
    zero = of_records.difference_map(pd.DataFrame({"a": {"r": Interval(0.0, 0.0, 0.0, 9)}}), "x").axes[0].images[0]
    assert min(zero.to_rgba(0.0)[:3]) > 0.9


# Contrast


def luminance(colour):
    """WCAG 2.2, relative luminance, written out a second time."""
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in matplotlib.colors.to_rgb(colour)
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrasts(figure):
    """Contrast of each text in a cell with the shade of that cell."""
    picture = figure.axes[0].images[0]
    shades = picture.to_rgba(picture.get_array())
    for text in figure.axes[0].texts:
        column, row = text.get_position()
        high, low = sorted([luminance(text.get_color()), luminance(shades[row, column][:3])], reverse=True)
        yield (high + 0.05) / (low + 0.05)


WEAK = np.full((10, 10), 10)


@pytest.mark.parametrize("right", [20, 45, 55, 62, 70, 100])
def test_counts_in_a_confusion_matrix_can_be_read_on_every_shade(right):
    matrix = np.full((4, 4), 0)
    matrix[np.diag_indices(4)] = right
    matrix[:, 0] += 100 - right
    found = list(contrasts(plots.confusion(matrix, "abcd")))
    assert len(found) == (matrix > 0).sum()
    assert min(found) >= 4.5


def test_counts_can_be_read_where_a_network_only_guesses():
    figure = plots.confusion(WEAK, [f"class {i}" for i in range(10)])
    assert min(contrasts(figure)) >= 4.5


def test_differences_can_be_read_on_every_shade():
    steps = pd.DataFrame([[Interval(float(value), value - 1.0, value + 1.0, 5) for value in range(-8, 9)]])
    figure = of_records.difference_map(steps, "x")
    assert len(figure.axes[0].texts) == 17
    assert min(contrasts(figure)) >= 4.5


# Names


ODD = ("_x", r"5 $ and 10 $, 50 % {a}^b_c\alpha & <b>~")


@functools.cache
def times_named(figure):
    return sum("plain" in text for text in texts(FIGURES[figure]("plain")))


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("figure", FIGURES)
def test_names_are_shown_as_they_are(figure, name):
    odd, expected = FIGURES[figure](name), times_named(figure)
    assert expected
    squeezed = "".join(name.split())
    found = [text for text in odd.findobj(matplotlib.text.Text) if squeezed in "".join(text.get_text().split())]
    assert len(found) == expected  # in legends too, and broken into lines where it is long
    assert not any(text.get_parse_math() for text in found)


def test_logarithmic_ticks_stay_what_they_are():
    axis = plots.pixel_histograms({"one": np.array([0] * 99 + [255], np.uint8)}).axes[0]
    axis.figure.draw_without_rendering()
    assert {"10⁻²", "10⁻¹", "10⁰"} <= {label.get_text() for label in axis.get_yticklabels()}
    assert not any("$" in text for text in texts(axis.figure))


@pytest.fixture
def only_dejavu(monkeypatch):
    """Matplotlib as on a machine without other fonts."""
    manager = matplotlib.font_manager.fontManager
    own = [font for font in manager.ttflist if font.fname.startswith(matplotlib.get_data_path())]
    monkeypatch.setattr(manager, "ttflist", own)
    monkeypatch.setattr(matplotlib.font_manager, "findSystemFonts", lambda: [])
    manager._findfont_cached.cache_clear()
    yield manager
    manager._findfont_cached.cache_clear()


def font_file(path, family, letters):
    """Write a font in which each letter is a square."""
    builder = FontBuilder(1000, isTTF=True)
    glyphs = {letter: f"uni{ord(letter):05X}" for letter in letters}
    builder.setupGlyphOrder([".notdef", *glyphs.values()])
    builder.setupCharacterMap({ord(letter): glyph for letter, glyph in glyphs.items()})
    pen = TTGlyphPen(None)
    for move, point in (("moveTo", (0, 0)), ("lineTo", (0, 800)), ("lineTo", (800, 800)), ("lineTo", (800, 0))):
        getattr(pen, move)(point)
    pen.closePath()
    square = pen.glyph()
    builder.setupGlyf(dict.fromkeys([".notdef", *glyphs.values()], square))
    builder.setupHorizontalMetrics(dict.fromkeys([".notdef", *glyphs.values()], (1000, 0)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": family, "styleName": "Regular"})
    builder.setupOS2(sTypoAscender=800, usWeightClass=400)
    builder.setupPost()
    builder.save(path)
    return str(path)


SCRIPTS = [
    ("猫狗", "fonts-noto-cjk"),
    ("ねこ", "fonts-noto-cjk"),
    ("고양이", "fonts-noto-cjk"),
    ("बिल्ली", "fonts-noto-core"),
    ("🐘🦊", "fonts-symbola"),
    ("猫🐘", "fonts-noto-cjk fonts-symbola"),
]


@pytest.mark.parametrize(("name", "package"), SCRIPTS)
def test_letters_that_no_font_has_are_named_once_with_what_to_install(only_dejavu, name, package):
    figure = plots.intervals({name: [0.5, 0.6], "other": [0.1, 0.2]})
    with pytest.warns(UserWarning, match=f"apt-get install {package}`") as told:
        shown(figure)
    assert len(told) == 1
    assert set(name) <= set(str(told[0].message))
    figure.draw_without_rendering()  # a second warning would be an error here


@pytest.mark.parametrize("figure", FIGURES)
def test_every_figure_tells_of_letters_that_no_font_has_in_one_sentence(only_dejavu, figure):
    with pytest.warns(UserWarning) as told:  # noqa: PT030 - all that is said, whoever says it
        FIGURES[figure]("猫🐘").draw_without_rendering()
    assert ["fonts-noto-cjk fonts-symbola" in str(each.message) for each in told] == [True]


@pytest.mark.parametrize("name", ["猫狗", "🐘🦊", "बिल्ली"])
def test_the_advice_about_a_font_is_followed(only_dejavu, monkeypatch, tmp_path, name):
    with pytest.warns(UserWarning, match="draw the figure again"):
        plots.intervals({name: [0.5, 0.6]}).draw_without_rendering()
    broken = tmp_path / "broken.ttf"
    broken.write_bytes(b"no font")
    found = [str(broken), font_file(tmp_path / "new.ttf", "New Font", name)]
    monkeypatch.setattr(matplotlib.font_manager, "findSystemFonts", lambda: found)
    for figure in (plots.intervals({name: [0.5, 0.6]}), plots.probability_bars({name: [1.0]}, [name])):
        shown(figure)  # a warning would be an error here: every letter is drawn
        (text, *_) = (text for text in figure.findobj(matplotlib.text.Text) if text.get_text() == name)
        assert text.get_fontfamily() == [figures.FONT, "New Font"]


def test_a_font_file_of_ones_own_is_used_after_addfont(only_dejavu, tmp_path):
    only_dejavu.addfont(font_file(tmp_path / "own.ttf", "Own Font", "猫"))


@pytest.mark.parametrize("name", ["кошка", "γάτα", "قطة", "köttur", "a\u200db", "x ≤ 2 → ∞"])
def test_other_letters_of_the_books_font_need_no_other(only_dejavu, name):
    plots.intervals({name: [0.5, 0.6]}).draw_without_rendering()
    assert figures.fonts(name) == ([figures.FONT], "")


def overlaps(found, along):
    """Pairs of neighbours among texts whose boxes overlap, in one direction."""
    boxes = sorted(
        (getattr(box, f"{along}0"), getattr(box, f"{along}1")) for box in (t.get_window_extent() for t in found)
    )
    return sum(after[0] < before[1] - 1 for before, after in itertools.pairwise(boxes))


@pytest.mark.parametrize("count", [30, 100])
def test_a_confusion_matrix_of_many_classes_has_names_and_counts_apart(count):
    matrix = np.eye(count, dtype=int) * 70
    matrix[0] = 11
    figure = plots.confusion(matrix, [f"class number {i}" for i in range(count)])
    figure.draw_without_rendering()
    axis = figure.axes[0]
    assert overlaps([label for label in axis.get_yticklabels() if label.get_text()], "y") == 0
    assert overlaps([label for label in axis.get_xticklabels() if label.get_text()], "x") == 0
    assert len(axis.texts) == 2 * count - 1
    assert overlaps([text for text in axis.texts if text.get_position()[1] == 0], "x") == 0


def test_a_confusion_matrix_says_where_it_leaves_counts_out_and_what_to_do_about_too_many_classes():
    large = np.full((60, 60), 123_456)
    axis = plots.confusion(large, range(60)).axes[0]
    assert not axis.texts
    assert axis.get_xlabel() == "predicted class (no room for the counts)"
    large, names, some = np.ones((1000, 1000), int), np.array([f"c{i}" for i in range(1000)]), np.arange(12)
    with pytest.raises(ValueError, match=r"matrix\[np.ix_\(some, some\)\]"):
        plots.confusion(large, names)
    assert len(plots.confusion(large[np.ix_(some, some)], names[some]).axes[0].texts) == 144


def test_a_confusion_matrix_names_a_class_without_images():
    labels = plots.confusion([[3, 1], [0, 0]], ["cat", "dog"]).axes[0].get_yticklabels()
    assert [label.get_text() for label in labels] == ["cat", "dog (no image)"]


@pytest.mark.parametrize("draw", [
    lambda names: plots.confusion(np.ones((4, 4), int), names),
    lambda names: plots.probability_bars({"a": [0.25] * 4}, names),
    lambda names: plots.intervals({name: [0.1, 0.2] for name in names}),
    lambda names: plots.curves({"a": {name: [0.1, 0.2] for name in names}}, scale="even"),
    lambda names: of_records.difference_map(pd.DataFrame({n: {n: Interval(1.0, 0.5, 2.0, 9)} for n in names}), "x"),
])  # fmt: skip
def test_long_names_are_told_apart_and_leave_room_for_what_they_name(draw):
    figure = draw([f"{'a name of a class that goes on and on ' * 6}{i}" for i in range(4)])
    figure.draw_without_rendering()  # a layout that collapses is a warning, and so an error here
    axis = figure.axes[-1] if len(figure.axes) == 1 else figure.axes[0]
    for labels in (axis.get_xticklabels(), axis.get_yticklabels()):
        said = [label.get_text() for label in labels if "name" in label.get_text()]
        assert len(said) in (0, 4)
        assert len(set(said)) == len(said)
    assert axis.get_window_extent().width > 100
    assert axis.get_window_extent().height > 60


def test_numbers_below_an_axis_do_not_run_into_each_other():
    for counts in (range(1, 51), [1, 2, 1000, 1001, 1002], [100_000, 100_001]):
        figure = plots.curves({"arm": {count: [0.1, 0.2] for count in counts}})
        figure.draw_without_rendering()
        labels = [label for label in figure.axes[0].get_xticklabels() if label.get_text()]
        assert labels[0].get_text() == str(counts[0])
        assert overlaps(labels, "x") == 0


def test_ticks_say_values_not_offsets():
    axis = plots.intervals({"a": [0.970001, 0.970002]}).axes[0]
    axis.figure.draw_without_rendering()
    assert not axis.xaxis.get_offset_text().get_text()
    assert all(0.9699 < float(label.get_text()) < 0.9701 for label in axis.get_xticklabels())


@pytest.mark.parametrize(
    ("places", "expected"), [([0, 10], [0, 10]), ([0, 0], [-0.5, 0.5]), ([0, 0.5, 1], [-0.5, 0.5, 1.5]), ([3], [3])]
)
def test_spread_moves_as_little_as_possible(places, expected):
    assert figures.spread(places, 1.0) == pytest.approx(expected)


GOOD = Interval(1.0, 0.5, 2.0, 9)
TOLD = {  # what is wrong, the words that say so, and what the words ask for
    "no image": (lambda: plots.image_grid([]), "at least one image", None),
    "floats to 255": (lambda: plots.image_grid(IMAGES * 1.0), "Divide floats", lambda: plots.image_grid(IMAGES / 255)),
    "whole numbers": (
        lambda: plots.image_grid(IMAGES.astype(int)), r'\.astype\("uint8"\)',
        lambda: plots.image_grid(IMAGES.astype(int).astype("uint8"))),
    "NaN in an image": (lambda: plots.image_grid([[[np.nan]]]), "from nan to nan", None),
    "channels": (lambda: plots.image_grid(np.zeros((1, 4, 4, 2))), r"found \(4, 4, 2\)", None),
    "float pixels": (
        lambda: plots.pixel_histograms({"a": IMAGES / 255}), "Turn floats from 0 to 1 into",
        lambda: plots.pixel_histograms({"a": (255 * (IMAGES / 255)).round().astype("uint8")})),
    "no pixels": (lambda: plots.pixel_histograms({"a": IMAGES[:0]}), "found 0", None),
    "a failed seed": (
        lambda: plots.curves({"arm": {1: [0.5, np.nan, 0.6]}}), r"'arm' at 1.*Leave out seeds that failed",
        lambda: plots.curves({"arm": {1: [0.5, 0.6]}})),
    "no labels": (
        lambda: plots.curves({"arm": {0: [0.1], 1: [0.5]}}), "no place for 0.*set scale='even'",
        lambda: plots.curves({"arm": {0: [0.1], 1: [0.5]}}, scale="even")),
    "an empty arm": (lambda: plots.curves({"arm": {}}), "at least one value of 'arm'", None),
    "no arm": (lambda: plots.intervals({}), "at least one arm", None),
    "an arm without seeds": (lambda: plots.intervals({"arm": []}), "'arm'", None),
    "shares": (
        lambda: plots.confusion([[0.5, 0.5], [0, 1]], "ab"), "Expected counts",
        lambda: plots.confusion(np.eye(2), "ab")),
    "NaN in a matrix": (lambda: plots.confusion([[np.nan, 1], [0, 1]], "ab"), "Expected counts", None),
    "no square": (lambda: plots.confusion(np.ones((2, 3)), "ab"), "as many rows as columns", None),
    "names": (lambda: plots.confusion(np.eye(2), "abc"), r"one name a class \(2\), found 3", None),
    "one name twice": (
        lambda: plots.confusion(np.eye(2), ["cat", "cat"]), "for example 'cat 2'",
        lambda: plots.confusion(np.eye(2), ["cat", "cat 2"])),
    "a dead map": (lambda: plots.strongest(np.full((1, 2, 2, 1), np.nan)), "4 of 4 numbers are not", None),
    "a map without images": (lambda: plots.strongest(RESPONSES[0]), r"shape \(N, h, w, C\)", None),
    "a sweep of nothing": (lambda: plots.panels({"a": {}}), "at least one value of 'a'", None),
    "eight panels": (lambda: plots.panels({f"{i}": {0: [1.0]} for i in range(8)}), "found 8. Use two figures", None),
    "logits": (lambda: plots.probability_bars({"a": [-1.0, 2.0]}, "xy"), "Apply softmax", None),
    "a picture to 255": (lambda: plots.picture_rows({"a": IMAGES * 1.0}), "Divide floats", None),
    "NaN in a strength": (lambda: plots.panels({"a": {0: [np.nan]}}), "'a' at 0.*seeds that failed", None),
    "a layer that is lost": (
        lambda: plots.curves({"arm": {"a": [0.5], "b": [0.6]}}, scale="even", order=["a"]),
        "values for b, which `order` lacks. Add it",
        lambda: plots.curves({"arm": {"a": [0.5], "b": [0.6]}}, scale="even", order=["a", "b"])),
    "numbers alone": (lambda: of_records.difference_map(pd.DataFrame({"a": [1.0, 2.0]}), "x"), "paired_interval", None),
    "numbers among intervals": (
        lambda: of_records.difference_map(pd.DataFrame({"a": [GOOD, 2.0]}), "x"), "found 2.0", None),
    "all gaps": (lambda: of_records.difference_map(pd.DataFrame({"a": [None, None]}), "x"), "table of finite", None),
    "a score that failed": (
        lambda: of_records.score_against_accuracy({"s": {"a": (np.nan, 0.5), "b": (1, 0.5)}}, "x"),
        "'a' in 's'.*Leave it",
        lambda: of_records.score_against_accuracy({"s": {"b": (1, 0.5)}}, "x")),
    "an empty series": (lambda: of_records.score_against_accuracy({"s": {}}, "x"), "at least one point of 's'", None),
}  # fmt: skip


@pytest.mark.parametrize("case", TOLD)
def test_what_cannot_be_drawn_rightly_is_told_and_the_advice_works(case):
    wrong, said, advised = TOLD[case]
    with pytest.raises(ValueError, match=said):
        wrong()
    if advised:
        advised().draw_without_rendering()


def test_mistakes_are_shown_surest_first_with_what_they_show_and_where_they_are():
    figure = plots.mistakes(ANSWERS, LABELLED("cat"))
    captions = [text.replace("\N{NO-BREAK SPACE}", " ") for text in texts(figure) if "→" in text]
    assert captions == ["cat → other (90 %)\nimage 0", "cat → other (70 %)\nimage 2"]
    assert "2 of 3 answers are wrong, the surest of them first" in texts(figure)
    first, second = (axis.images[0].get_array() for axis in figure.axes if axis.images)
    assert (first == IMAGES[0]).all()
    assert (second == IMAGES[2]).all()
    assert len([text for text in texts(plots.mistakes(ANSWERS, LABELLED("cat"), 1)) if "→" in text]) == 1


def test_no_mistake_is_an_answer_too():
    assert "None of 3 answers is wrong." in texts(plots.mistakes(RIGHT, LABELLED("cat")))


def test_mistakes_need_a_score_of_the_same_images():
    with pytest.raises(ValueError, match="one answer to each of 3 images"):
        plots.mistakes(SimpleNamespace(predictions=np.zeros(2, int), shares=SURE[:2]), LABELLED("cat"))
    with pytest.raises(ValueError, match="a count of 1 or more, found 0"):
        plots.mistakes(ANSWERS, LABELLED("cat"), count=0)


@pytest.mark.parametrize(("side", "kept"), [(64, False), (65, True)])
def test_large_photographs_keep_their_colours(side, kept):
    hue = np.indices((side, side)).transpose(1, 2, 0) * 255 // side
    photograph = np.dstack([hue, 255 - hue[..., :1]]).astype(np.uint8)
    picture = Image.open(io.BytesIO(shown(plots.image_grid([photograph]))[2])).convert("RGB")
    assert (len(picture.getcolors(1 << 20)) > 1000) == kept
