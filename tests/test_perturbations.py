"""Data sets made worse on purpose: how many labels are wrong and which, what a shift does to images."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tl_experiments import perturbations
from tl_experiments.fingerprints import sha256_of
from tl_helpers import data

quick = settings(max_examples=60, deadline=None, database=None)


def some(count=100):
    images = np.random.default_rng(0).integers(0, 256, (count, 32, 32), "uint8")
    return data.from_arrays(images, np.arange(count) % 10)


@quick
@given(share=st.floats(0, 0.99), seed=st.integers(0, 99))
def test_label_noise_replaces_that_share_by_another_class(share, seed):
    clean = some()
    noisy = perturbations.with_label_noise(clean, share, seed)
    assert np.sum(noisy.labels != clean.labels) == round(share * len(clean))
    assert noisy.labels.min() >= 0
    assert noisy.labels.max() <= 9
    assert noisy.images is clean.images or np.shares_memory(noisy.images, clean.images)


def test_more_label_noise_keeps_what_less_had_replaced():
    clean = some()
    few, many = (perturbations.with_label_noise(clean, share, 3).labels for share in (0.1, 0.4))
    changed = few != clean.labels
    assert np.array_equal(few[changed], many[changed])


def test_label_noise_draws_all_other_classes():
    clean = some(2000)
    noisy = perturbations.with_label_noise(clean, 0.9, 0)
    assert set((noisy.labels - clean.labels)[noisy.labels != clean.labels] % 10) == set(range(1, 10))


@pytest.mark.parametrize("share", [-0.1, 1, 2])
def test_label_noise_refuses_what_is_no_share(share):
    with pytest.raises(data.DataError, match="share from 0 to below 1"):
        perturbations.with_label_noise(some(), share)


@pytest.mark.parametrize("kind", perturbations.SHIFTS)
@pytest.mark.parametrize("channels", [1, 3])
def test_a_shift_changes_the_images_and_nothing_else(kind, channels):
    before = some(30)
    if channels == 3:
        coloured = np.stack([before.images[..., 0], before.images[..., 1] // 2, before.images[..., 2] // 3], axis=-1)
        before = data.from_arrays(coloured, before.labels)
    after = perturbations.shifted(before, kind)
    assert after.images.shape == before.images.shape
    assert after.images.dtype == np.uint8
    assert not np.array_equal(after.images, before.images)
    assert np.array_equal(after.labels, before.labels)
    assert np.array_equal(after.images, perturbations.shifted(before, kind).images)


def alone_in(picture):
    return replace(some(30).rows(0), images=data.to_source_format(picture))


def test_shifts_do_what_their_names_say():
    picture = np.zeros((1, 32, 32), "uint8")
    picture[0, 10, 5] = 200
    one = alone_in(picture)
    assert perturbations.shifted(one, "moved").images[0, 14, 9].tolist() == [200] * 3
    assert perturbations.shifted(one, "moved").images.sum() == 600
    for pixels in (1, 2):
        by = perturbations.shifted(one, f"moved by {pixels}").images
        assert by[0, 10 + pixels, 5 + pixels].tolist() == [200] * 3
        assert by.sum() == 600
    assert perturbations.shifted(one, "inverted").images[0, 10, 5].tolist() == [55] * 3
    noisy = perturbations.shifted(one, "noisy").images
    assert 40 < noisy[..., 0].std() < 80 or noisy.max() > 150
    square = np.zeros((1, 32, 32), "uint8")
    square[0, 14:18, 4:28] = 255  # a horizontal bar
    turned = perturbations.shifted(alone_in(square), "rotated").images[0, ..., 0] > 128
    rows, columns = np.nonzero(turned)
    assert abs(np.degrees(np.arctan(np.polyfit(columns, rows, 1)[0]))) == pytest.approx(30, abs=2)


def test_an_unknown_shift_is_refused():
    with pytest.raises(data.DataError, match="a shift of rotated, moved"):
        perturbations.shifted(some(), "blurred")


def test_the_fingerprint_sees_images_and_labels():
    one = some()
    assert sha256_of(one) == sha256_of(some())
    assert (
        sha256_of(perturbations.with_label_noise(one, 0.01))
        != sha256_of(one)
        != sha256_of(perturbations.shifted(one, "inverted"))
    )
