"""The document's listing: what it builds, what is said of its crashes, and what scaling changes."""

import numpy as np
import pytest

from tl_experiments import listing


def test_the_network_of_the_listing_has_no_scaling_and_gives_shares():
    network = listing.network()
    assert [type(layer).__name__ for layer in network.layers[::2]] == ["Conv2D", "Conv2D", "Conv2D", "Dense"]
    shares = network(np.full((2, 32, 32, 3), 255.0)).numpy()
    assert shares.shape == (2, 10)
    assert np.allclose(shares.sum(1), 1, atol=1e-5)


def test_a_crash_is_told_by_its_longest_line_without_colours():
    def fail():
        raise ValueError("short\n\x1b[1mthe longer line\x1b[0m " + "and on " * 30)

    told = listing.crash(fail)
    assert told.startswith("ValueError: the longer line and on and on")
    assert len(told) == len("ValueError: ") + listing.LONGEST


def test_what_does_not_crash_is_no_crash():
    with pytest.raises(AssertionError, match="works now"):
        listing.crash(lambda: None)


def test_without_scaling_the_first_steps_cost_more():
    images = np.random.default_rng(0).integers(0, 256, (64, 32, 32, 3)).astype("uint8")
    losses = listing.first_losses(images, np.arange(64) % 10, seeds=(0,), steps=2)
    assert [len(found) for found in losses.values()] == [1, 1]
    assert losses["not scaled"][0] > losses["scaled"][0]
