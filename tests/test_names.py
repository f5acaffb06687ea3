"""What the names in a grid stand for: sources that ship, and functions of one's own."""

import re

import pytest
import toy_experiments as toy

import tl_experiments as experiments
from tl_experiments import grid
from tl_experiments.names import depth_of
from tl_experiments.recipes import DEPTHS
from tl_helpers import models


@pytest.mark.parametrize("name", grid.SOURCES)
def test_a_source_counts_its_layers_as_the_grid_does(name):
    network = models.pretrained(name)
    depths = {layer: len(models.weight_layers(models.features_at(network, layer))) for layer in models.places(network)}
    if name in ("imagenet", "resnet", "resnet-a"):  # of their stages the grid knows the ends
        depths = {layer: depth for layer, depth in depths.items() if re.fullmatch(r"block\d|[a-z]+", layer)}
    if name != "imagenet":  # which has no classifier
        del depths[network.layers[-1].name]  # the source's own outputs are no features
    assert depths == DEPTHS[name]
    assert {layer: depth_of(name, layer) for layer in depths} == depths


def test_a_grid_knows_the_sources_that_ship():
    assert set(grid.SOURCES) == set(models.PRETRAINED)


def test_a_source_of_ones_own_counts_its_own_layers():
    network = toy.small()
    for layer in network.layers[1:]:
        count = len(models.weight_layers(models.features_at(network, layer.name)))
        assert depth_of("toy_experiments:small", layer.name) == count
    own = {"pairs": [("toy_experiments:small", "toy_experiments:few")], "seed": [0]}
    (probe,) = experiments.Grid("own", **own, layer=["second"]).runs()
    assert (probe.layers_copied, probe.layers_frozen) == (2, 2)
    tuned = experiments.Grid("own", **own, layer=["first"], method=["parameter transfer"], layers_copied=[0, 1, 2])
    assert [run.layers_copied for run in tuned.runs()] == [0, 1]


@pytest.mark.parametrize(
    ("source", "layer", "message"),
    [
        ("toy_experiments:small", "conv3", "cannot be cut at 'conv3'.*Its layers are: scaled, first"),
        ("toy_experiments:nothing", "conv3", "'toy_experiments:nothing' is not there"),
        ("no_such_module:source", "conv3", "'no_such_module:source' is not there .*No module named"),
        ("toy_experiments:ROWS_OF_GRID", "conv3", "is not there"),
        ("toy_experiments:GRID", "conv3", "is no function"),
        ("toy_experiments:digits", "conv3", "is to return a Model; found Dataset"),
        ("toy_experiments:size_of", "conv3", "cannot be made: TypeError"),
    ],
)
def test_a_source_of_ones_own_that_is_none_is_said(source, layer, message):
    grid = experiments.Grid("own", [(source, "toy_experiments:few")], layer=[layer], seed=[0])
    with pytest.raises(experiments.ExperimentError, match=message):
        grid.runs()
