"""Groups stay on one side of every split; draws without groups are as they always were; what looks alike is a group."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageEnhance

from tl_base import draws, twins
from tl_helpers import data

quick = settings(max_examples=60, deadline=None, database=None)


def marked(labels, groups=None, **options):
    """Make a data set whose row r spells r in its first two pixels."""
    images = np.zeros((len(labels), 28, 28), np.uint8)
    images[:, 0, 0], images[:, 0, 1] = np.arange(len(labels)) // 256, np.arange(len(labels)) % 256
    images[:, 1, 1] = 255
    return data.from_arrays(images, labels, groups=groups, **options)


def numbers(part):
    return (part.images[:, 2, 2, 0].astype(int) * 256 + part.images[:, 2, 3, 0]).tolist()


def parts_of(split):
    return split.train, split.validation, split.test


def on_one_side(split):
    keys = [set(part.groups.tolist()) for part in parts_of(split)]
    return sum(map(len, keys)) == len(set().union(*keys))


def many_groups(draw):
    """Draw labels of two to four classes, and groups that may span them."""
    classes = draw(st.integers(2, 4))
    labels = draw(st.lists(st.integers(0, classes - 1), min_size=30, max_size=90))
    labels += list(range(classes)) * 3
    groups = draw(st.lists(st.integers(0, 40), min_size=len(labels), max_size=len(labels)))
    return labels, groups


def attempt(call, *said):
    """Return what a call returns, or None where groups are too few or too large and it says so."""
    try:
        return call()
    except data.DataError as error:
        text = str(error)
    assert any(one in text for one in said), text
    return None


@given(st.data(), st.integers(1, 4), st.integers(0, 2**32), st.floats(0.05, 0.6))
@quick
def test_a_group_is_on_one_side_of_every_split(data_, per_class, seed, fraction):
    labels, groups = many_groups(data_.draw)
    whole = attempt(lambda: marked(labels, groups), "groups of images such that")
    if whole is None:
        return
    assert not draws.on_both_sides(whole.groups, whole.held_out).any()
    assert np.all(np.bincount(whole.labels[whole.held_out]) >= 1)
    few = attempt(lambda: data.few_shot(whole, per_class, seed), "in each class", "no group on both sides")
    if few:
        assert on_one_side(few)
        count = len(whole.class_names)
        for part in (few.train, few.validation):
            assert part.labels.tolist() == list(range(count)) * per_class
            assert len(set(numbers(part))) == len(part)
        first = data.few_shot(whole, 1, seed)
        assert numbers(first.train) == numbers(few.train)[:count]
        assert numbers(first.validation) == numbers(few.validation)[:count]
    full = attempt(lambda: data.full_split(whole, seed, fraction), "groups of images such that")
    if full:
        assert on_one_side(full)
        assert sorted(row for part in parts_of(full) for row in numbers(part)) == list(range(len(labels)))
        for part in parts_of(full):
            assert set(part.labels.tolist()) == set(range(len(whole.class_names)))


@given(st.lists(st.integers(3, 30), min_size=2, max_size=5), st.integers(1, 8), st.integers(0, 2**32))
@quick
def test_groups_of_one_change_no_draw(counts, per_class, seed):
    labels = np.repeat(np.arange(len(counts)), counts)
    plain, alone = marked(labels), marked(labels, groups=range(len(labels)))
    assert plain.groups is None
    assert plain.held_out.tolist() == alone.held_out.tolist()
    assert numbers(data.full_split(plain, seed).train) == numbers(data.full_split(alone, seed).train)
    assume(np.bincount(labels[~plain.held_out]).min() >= 2 * per_class)
    one, other = (data.few_shot(whole, per_class, seed) for whole in (plain, alone))
    assert [numbers(part) for part in parts_of(one)] == [numbers(part) for part in parts_of(other)]


def test_sessions_that_span_all_classes_are_split_whole():
    labels, sessions = [0, 1] * 30, np.repeat(["monday", "tuesday", "friday"], 20)
    whole = marked(labels, sessions)
    assert len(set(sessions[whole.held_out])) == 1
    split = data.few_shot(whole, 5)
    assert [len(set(part.groups.tolist())) for part in parts_of(split)] == [1, 1, 1]
    with pytest.raises(data.DataError, match=r"10 images of each class .* no group on both sides; found only"):
        data.few_shot(replace(whole, groups=np.where(whole.held_out, 0, 1)), 10)


def test_too_few_groups_are_explained():
    with pytest.raises(data.DataError, match=r"such that some of each class can be put aside; found 1 of class 0"):
        marked([0, 1] * 6, [0, 1] * 6)


FAULTS = {
    "too few": ([1, 2], r"a group for each of 6 images; found 2"),
    "one text": ("session", "groups as keys; found 'session'"),
    "a number": (3, "groups as keys; found 3"),
    "missing": (["a", None, "a", "b", "c", "d"], "each group as text or a number; found None for image 1"),
    "not a number": ([1, 2, float("nan"), 3, 4, 5], "found nan for image 2"),
    "lists": ([[1], [2], [3], [4], [5], [6]], r"found \[1\] for image 0"),
    "a function without files": (lambda name: name, "files for the function in groups; found images without names"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_groups_that_are_none_are_explained(fault):
    groups, message = FAULTS[fault]
    with pytest.raises(data.DataError, match=message):
        marked([0, 1, 0, 1, 0, 1], groups)


def test_held_out_rows_that_divide_a_group_are_refused():
    with pytest.raises(data.DataError, match=r"found 1 images outside whose groups are inside \(the first is number 4"):
        marked([0, 1] * 4, [0, 1, 2, 3, 0, 5, 6, 7], held_out=[True, True] + [False] * 6)


def scene(seed, width=60, height=40):
    coarse = np.random.default_rng(seed).integers(0, 256, (7, 9, 3), np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def test_a_function_makes_groups_of_names(tmp_path):
    for row in range(12):
        folder = tmp_path / "ab"[row % 2] / ("day", "night", "dusk")[row // 4]
        folder.mkdir(parents=True, exist_ok=True)
        scene(row).save(folder / f"{row}.png")
    mine = data.from_folder(tmp_path, 32, groups=lambda name: name.split("/")[1])
    assert {name.split("/")[1] for name in mine.files} == {"day", "night", "dusk"}
    for name, group in zip(mine.files, mine.groups, strict=True):
        assert group == ("day", "dusk", "night").index(name.split("/")[1])
    paths = [tmp_path / name for name in mine.files]
    same = data.from_arrays(paths, mine.labels, size=32, groups=lambda name: name.split("/")[-2])
    assert same.files == tuple(map(str, paths))
    assert same.groups.tolist() == mine.groups.tolist()
    by_row = data.from_folder(tmp_path, 32, groups=["x", "y", "z"] * 4)
    assert by_row.groups.tolist() == [0, 1, 2] * 4


# What looks alike


def saved_anew(image, path, **options):
    image.save(path, **options)
    return Image.open(path).convert("RGB")


CHANGES = {
    "saved as JPEG": lambda image, path: saved_anew(image, path, quality=40),
    "half as large": lambda image, path: image.resize((30, 20)),
    "twice as large": lambda image, path: image.resize((120, 80)),
    "lighter": lambda image, path: ImageEnhance.Brightness(image).enhance(1.2),
    "less contrast": lambda image, path: ImageEnhance.Contrast(image).enhance(0.6),
    "a pixel aside": lambda image, path: image.crop((1, 0, 60, 40)),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_copy_is_found_and_other_scenes_are_not(change, tmp_path):
    scenes = [scene(seed) for seed in range(40)]
    copy = CHANGES[change](scenes[17], tmp_path / "copy.jpg")
    images = [np.asarray(one.resize((64, 64))) for one in (*scenes, copy)]
    assert twins.pairs(twins.thumbnails(np.stack(images))).tolist() == [[17, 40]]


def test_from_arrays_finds_them_when_asked():
    images = [scene(seed) for seed in range(12)]
    images[7] = images[2].resize((90, 60))
    mine = data.from_arrays(images, [0, 1] * 6, groups="alike")
    assert mine.groups.tolist() == [0, 1, 2, 3, 4, 5, 6, 2, 7, 8, 9, 10]
    assert data.from_arrays(images, [0, 1] * 6).groups is None


def test_single_strokes_on_black_are_no_twins():
    strokes = np.zeros((5, 32, 32, 3), np.uint8)
    for row in range(5):  # each a tenth shorter: two neighbours have a correlation of 0.95
        strokes[row, 6 : 26 - 2 * row, 15:18] = 255
    assert len(twins.pairs(strokes)) == 0
    assert len(np.unique(twins.find(np.zeros((3, 8, 8, 3), np.uint8)).groups)) == 1  # the same pixels all the same


@given(st.integers(1, 30), st.lists(st.tuples(st.integers(0, 29), st.integers(0, 29)), max_size=20))
@quick
def test_links_join_directly_and_through_others(count, links):
    links = [(a % count, b % count) for a, b in links]
    groups = twins.joined(count, np.array(links, np.int64).reshape(-1, 2))
    expected = list(range(count))
    for _ in range(count):
        for a, b in links:
            expected = [min(expected[a], expected[b]) if one in (expected[a], expected[b]) else one for one in expected]
    ranks = {key: rank for rank, key in enumerate(dict.fromkeys(expected))}
    assert groups.tolist() == [ranks[key] for key in expected]


def test_pairs_are_those_of_a_plain_comparison(monkeypatch):
    thumbs = np.stack([np.asarray(scene(seed % 13, 32, 32)) for seed in range(40)])
    thumbs[13:] = np.clip(thumbs[13:].astype(int) + 3, 0, 255)
    whole = twins.pairs(thumbs)
    monkeypatch.setattr(twins, "BLOCK", 100)  # a few rows at a time
    assert np.array_equal(twins.pairs(thumbs), whole)
    assert whole.tolist() == [[a, b] for a in range(40) for b in range(a + 1, 40) if a % 13 == b % 13]
