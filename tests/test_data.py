"""Labelled images in one format: data sets of your own, their rows and classes, splits."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tl_helpers import data

quick = settings(max_examples=60, deadline=None, database=None)


def grey_set(counts, side=28):
    """Make a data set with `counts[k]` images of class k; the first two pixels of row r spell r."""
    labels = np.repeat(np.arange(len(counts)), counts)
    images = np.zeros((len(labels), side, side), np.uint8)
    images[:, 0, 0], images[:, 0, 1] = np.arange(len(labels)) // 256, np.arange(len(labels)) % 256
    images[:, 1, 1] = 255
    return data.from_arrays(images, labels)


def noise(count, side=28):
    return np.random.default_rng(0).integers(0, 256, (count, side, side), np.uint8)


def row_numbers(part):
    return (part.images[:, 2, 2, 0].astype(int) * 256 + part.images[:, 2, 3, 0]).tolist()


# A data set of your own


def test_given_names_keep_labels_as_they_are_and_given_rows_are_held_out():
    labels, held_out = [1, 0] * 4, [True, True] + [False] * 6
    pixels = noise(8)
    mine = data.from_arrays(
        pixels, labels, class_names=["cat", "dog"], held_out=held_out, name="pets", provenance="Ours."
    )
    assert (mine.labels.tolist(), mine.class_names, mine.held_out.tolist()) == (labels, ("cat", "dog"), held_out)
    assert (mine.name, mine.provenance) == ("pets", "Ours.")
    assert repr(mine) == "<Dataset 'pets': 8 images, 2 of them held out, 2 classes>"


PIXELS = noise(6)
HALVES = [0, 1, 0, 1, 0, 1]
FAULTS = {
    "fewer labels": ((PIXELS, HALVES[:5]), {}, "found 6 images and 5 labels"),
    "no images": ((PIXELS[:0], []), {}, "at least one image"),
    "no labels": ((PIXELS, []), {}, "at least two classes"),
    "one class": ((PIXELS, [4] * 6), {}, "at least two classes"),
    "a class of two": ((PIXELS, [0, 1, 0, 1, 0, 0]), {}, "at least 3 images .*found 2 of '1', 4 of '0'"),
    "a class of one": ((PIXELS, ["a", "a", "b", "a", "a", "a"]), {}, "found 1 of 'b'"),
    "a class of none": ((PIXELS, HALVES), {"class_names": "abc"}, "found 0 of 'c'"),
    "fractions": ((PIXELS, [0, 1, 0.5, 1, 0, 1]), {}, "found 0.5"),
    "NaN": ((PIXELS, [0, 1, float("nan"), 1, 0, 1]), {}, "found nan"),
    "infinity": ((PIXELS, np.array([0, 1, np.inf, 1, 0, 1])), {}, "found inf"),
    "a missing string": (
        (PIXELS, np.array(["a", None, "a", "b", "b", "b"], dtype=object)),
        {},
        "a label for each image; found None for 1 of them, first for image 1",
    ),
    "strings and numbers": ((PIXELS, [0, "1", 0, 1, 0, 1]), {}, "found '1'"),
    "complex numbers": ((PIXELS, np.array(HALVES) + 0j), {}, "whole numbers or all text"),
    "ragged": ((PIXELS, [[0], [1, 2], [0], [1], [0], [1]]), {}, r"found \[0\]"),
    "one-hot": ((PIXELS, np.eye(2)[HALVES]), {}, r"numpy\.argmax\(labels, axis=1\)"),
    "one number": ((PIXELS, 3), {}, r"shape \(\)"),
    "one string": ((PIXELS, "aabbab"), {}, r"shape \(\)"),
    "names and labels from 1": ((PIXELS, [1, 2] * 3), {"class_names": ["a", "b"]}, r"labels 0 to 1 .*found \[1, 2\]"),
    "names and negative labels": ((PIXELS, [0, -1] * 3), {"class_names": ["a", "b"]}, r"found \[-1, 0\]"),
    "names and strings": ((PIXELS, ["a", "b"] * 3), {"class_names": ["a", "b"]}, "Leave class_names out"),
    "one name twice": ((PIXELS, HALVES), {"class_names": ["a", "a"]}, "its own name"),
    "one name": ((PIXELS, [0] * 6), {"class_names": ["a"]}, "at least two classes"),
    "held_out too short": ((PIXELS, HALVES), {"held_out": [True] * 5}, r"found \(5,\), bool"),
    "held_out of numbers": ((PIXELS, HALVES), {"held_out": HALVES}, "int64"),
    "held_out all": ((PIXELS, HALVES), {"held_out": [True] * 6}, "at least 2 images that are not held out"),
    "held_out none": ((PIXELS, HALVES), {"held_out": [False] * 6}, "at least 1 held-out images"),
    "held_out one class": ((PIXELS, HALVES), {"held_out": [True] + [False] * 5}, "found 0 of '1', 1 of '0'"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_arrays_that_make_no_data_set_are_a_clear_error(fault):
    arguments, options, message = FAULTS[fault]
    with pytest.raises(data.DataError, match=message):
        data.from_arrays(*arguments, **options)


def test_a_data_set_cannot_be_changed_and_owns_its_arrays():
    pixels, labels, held_out = (
        noise(6, 32)[..., None].repeat(3, axis=3),
        np.array(HALVES),
        np.array([True] * 2 + [False] * 4),
    )
    mine = data.from_arrays(pixels, labels, class_names="ab", held_out=held_out)
    was = pixels.copy()
    pixels[:], labels[:], held_out[:] = 0, 0, False
    assert np.array_equal(mine.images, was)
    assert mine.labels.tolist() == HALVES
    assert mine.held_out.sum() == 2
    for array in (mine.images, mine.labels, mine.held_out, mine.rows([0]).images):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
    with pytest.raises(AttributeError):
        mine.name = "yours"


@pytest.mark.parametrize("index", [[4, 1], np.array([-2, 1]), slice(1, 5, 3), np.arange(6) % 3 == 1, 4, []])
@pytest.mark.parametrize("channels", [1, 3])
def test_rows_are_the_chosen_ones(index, channels):
    pixels = np.random.default_rng(0).integers(0, 256, (6, 28, 28, channels), dtype=np.uint8)
    mine = data.from_arrays(pixels, HALVES)
    part = mine.rows(index)
    chosen = np.atleast_1d(np.arange(6)[index])
    assert part.images.shape == (len(chosen), 32, 32, 3)
    assert np.array_equal(part.images, np.asarray(mine.images)[chosen])
    assert np.array_equal(part.labels, mine.labels[chosen])
    assert np.array_equal(part.held_out, mine.held_out[chosen])
    assert (part.name, part.class_names, len(part)) == (mine.name, mine.class_names, len(chosen))


def test_a_row_that_does_not_exist_is_an_error():
    with pytest.raises(IndexError):
        grey_set([3, 3]).rows([6])


def test_grey_images_are_stored_once_and_rows_copy_only_themselves():
    many = grey_set([10_000, 10_000])
    assert many.images.strides[-1] == 0
    tracemalloc.start()
    part = many.rows(np.arange(0, 20_000, 200))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert part.images.strides[-1] == 0
    assert peak < 100 * 32 * 32 + 20_000 * 8 * 2


# Splits


@given(
    counts=st.lists(st.integers(3, 30), min_size=2, max_size=5),
    per_class=st.integers(1, 10),
    seed=st.integers(0, 2**32),
)
@quick
def test_few_shot_is_balanced_disjoint_and_reproducible_or_says_what_there_is(counts, per_class, seed):
    whole = grey_set(counts)
    free = np.bincount(whole.labels[~whole.held_out])
    if free.min() < 2 * per_class:
        with pytest.raises(data.DataError, match=f"at least {2 * per_class} images") as caught:
            data.few_shot(whole, per_class, seed)
        assert all(f"{count} of '{k}'" in str(caught.value) for k, count in enumerate(free))
        return
    split = data.few_shot(whole, per_class, seed)
    parts = [row_numbers(part) for part in (split.train, split.validation, split.test)]
    assert sum(map(len, parts)) == len(set().union(*parts))
    assert parts[2] == np.flatnonzero(whole.held_out).tolist()
    for part, rows in zip((split.train, split.validation, split.test), parts, strict=True):
        assert part.labels.tolist() == whole.labels[rows].tolist()
    for part in (split.train, split.validation):
        assert part.labels.tolist() == list(range(len(counts))) * per_class
    assert (split.per_class, split.seed) == (per_class, seed)
    again = data.few_shot(whole, per_class, seed)
    assert [row_numbers(part) for part in (again.train, again.validation, again.test)] == parts
    smaller = data.few_shot(whole, 1, seed)
    assert row_numbers(smaller.train) == parts[0][: len(counts)]
    assert row_numbers(smaller.validation) == parts[1][: len(counts)]


def test_another_seed_draws_other_images_but_tests_on_the_same():
    whole = grey_set([60, 60])
    first, second = data.few_shot(whole, 5, 0), data.few_shot(whole, 5, 1)
    assert set(row_numbers(first.train)) != set(row_numbers(second.train))
    assert row_numbers(first.test) == row_numbers(second.test)


@given(
    counts=st.lists(st.integers(3, 30), min_size=2, max_size=4),
    fraction=st.floats(0.001, 0.999),
    seed=st.integers(0, 2**32),
)
@quick
def test_full_split_uses_every_row_once_and_keeps_the_shares(counts, fraction, seed):
    whole = grey_set(counts)
    split = data.full_split(whole, seed, fraction)
    parts = [row_numbers(part) for part in (split.train, split.validation, split.test)]
    assert sorted(row for rows in parts for row in rows) == list(range(len(whole)))
    assert parts[2] == np.flatnonzero(whole.held_out).tolist()
    free = np.bincount(whole.labels[~whole.held_out])
    taken = np.bincount(split.validation.labels, minlength=len(counts))
    assert np.all((taken >= 1) & (taken < free))
    assert np.all((np.abs(taken - fraction * free) <= 0.5) | (taken == 1) | (taken == free - 1))
    assert row_numbers(data.full_split(whole, seed, fraction).validation) == parts[1]
    assert (split.per_class, split.seed) == (None, seed)


def test_full_split_draws_validation_by_seed_and_a_tenth_by_default():
    whole = grey_set([60, 60])
    first, second = data.full_split(whole), data.full_split(whole, seed=1)
    assert len(first.validation) == 8
    assert row_numbers(first.validation) != row_numbers(second.validation)


@pytest.mark.parametrize("value", [0, -1, 2.0, 0.5, True, np.bool_(True), "5", None, [5]])
def test_per_class_is_a_whole_number_of_images(value):
    with pytest.raises(data.DataError, match="per_class to be a whole number, at least 1; found"):
        data.few_shot(grey_set([30, 30]), value)


@pytest.mark.parametrize("value", [-1, 1.0, True, "0", None])
def test_a_seed_is_a_whole_number(value):
    for split in (lambda: data.few_shot(grey_set([9, 9]), 1, value), lambda: data.full_split(grey_set([9, 9]), value)):
        with pytest.raises(data.DataError, match="seed to be a whole number, at least 0; found"):
            split()


@pytest.mark.parametrize("value", [0, 1, -0.1, 1.5, True, float("nan"), "0.1", None])
def test_a_validation_fraction_is_one(value):
    with pytest.raises(data.DataError, match="validation_fraction between 0 and 1; found"):
        data.full_split(grey_set([9, 9]), 0, value)


def test_numpy_numbers_will_do():
    whole = grey_set([9, 9])
    assert data.few_shot(whole, np.int64(1), np.uint8(0)).per_class == 1
    assert len(data.full_split(whole, np.int32(3), np.float32(0.5)).validation) == 6


def test_rows_that_can_no_longer_be_split_are_a_clear_error():
    whole = grey_set([9, 9])
    for split in (lambda part: data.few_shot(part, 1), data.full_split):
        with pytest.raises(data.DataError, match="held-out rows to test on; found none"):
            split(whole.rows(~whole.held_out))
        with pytest.raises(data.DataError, match="at least 2 images that are not held out"):
            split(whole.rows(whole.held_out))


# Some of the classes


@given(st.data())
@quick
def test_only_keeps_the_rows_of_the_named_classes_and_numbers_them_in_the_given_order(draw):
    counts = draw.draw(st.lists(st.integers(3, 9), min_size=2, max_size=6))
    whole = grey_set(counts)
    chosen = draw.draw(st.permutations(whole.class_names))[: draw.draw(st.integers(2, len(counts)))]
    part = data.only(whole, chosen)
    assert part.class_names == tuple(chosen)
    rows = np.flatnonzero(np.isin(whole.labels, [int(name) for name in chosen]))
    assert row_numbers(part) == rows.tolist()
    assert [chosen[label] for label in part.labels] == [str(label) for label in whole.labels[rows]]
    assert part.held_out.tolist() == whole.held_out[rows].tolist()
    assert part.labels.dtype == np.int64
    assert not part.labels.flags.writeable
    assert part.images.strides[-1] == 0  # grey is stored once


def test_only_says_what_it_is():
    part = data.only(grey_set([3, 4, 5]), ["2", "0"])
    assert part.name == "2 of 3 classes of my images"
    assert part.provenance == "12 images of your own. Of these only the classes 2, 0."
    assert data.only(grey_set([3, 4, 5]), ["2", "0"], name="ends").name == "ends"


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["0", "cat"], r"found 'cat'\. Its classes are '0', '1', '2'\."),
        ([0, 1], r"found 0\. Its classes are '0', '1', '2'\."),
        (["0", "1", "0"], r"each named once; found \('0', '1', '0'\)"),
        (["2"], r"at least two classes.*found \('2',\)"),
        ([], r"at least two classes.*found \(\)"),
    ],
)
def test_classes_that_only_cannot_keep_are_explained(names, message):
    with pytest.raises(data.DataError, match=message):
        data.only(grey_set([3, 4, 5]), names)


# Some of the rows


def test_rows_are_taken_evenly():
    one = grey_set([10] * 3)
    assert row_numbers(data.evenly_spaced(one, 10)) == list(range(0, 30, 3))
    assert row_numbers(data.evenly_spaced(one, 4)) == [0, 7, 15, 22]
    assert len(data.evenly_spaced(one, len(one))) == len(one)
    with pytest.raises(data.DataError, match="a count from 1 to 30"):
        data.evenly_spaced(one, 31)
