"""How the source networks are trained: recipes, interrupted runs, the files that are written."""

import json

import numpy as np
import pytest
import train_source
from train_source import RECIPES, Recipe

from tl_experiments import trainings
from tl_helpers import data, models, transfer


def some_digits():
    return data.digits().rows(slice(300))


def run(folder, **changes):
    """Train the digits network on 300 digits, with its state and its files in `folder`."""
    recipe = Recipe("300 digits", some_digits, **({"epochs": 2, "batch_size": 32} | changes))
    folder.mkdir(exist_ok=True)
    train_source.make("digits", 0, recipe, folder / "state", folder)
    return json.loads((folder / "source_digits.json").read_text(encoding="utf-8"))


def trained(network):
    """List the trainings of a network that are there, the first one among them: (seed, name)."""
    names = list(enumerate(trainings.names_of(network)))
    return names[:1] + [(seed, name) for seed, name in names[1:] if trainings.place_of(name).is_file()]


def test_every_shipped_network_has_a_recipe_and_its_card_tells_the_same():
    assert [*RECIPES, "imagenet"] == list(models.PRETRAINED)  # that one is converted: test_imagenet
    for name, recipe in RECIPES.items():
        for seed, label in trained(name):
            card = trainings.card(label)
            for field in ("epochs", "batch_size", "learning_rate"):
                assert card["recipe"][field] == getattr(recipe, field)
            assert card["recipe"]["seed"] == seed
            with np.load(trainings.place_of(label)) as file:
                assert {str(file[key].dtype) for key in file.files} == {"float16" if seed else recipe.dtype}


def test_trainings_of_one_network_differ_and_each_is_as_good_as_its_card_says():
    for network in trainings.COUNTS:
        cards = [trainings.card(name) for _, name in trained(network)]
        assert len({json.dumps(card["confusion"]) for card in cards}) == len(cards)
        assert len({card["parameters"] for card in cards}) == 1
        scores = [card["test_accuracy"] for card in cards]
        assert max(scores) - min(scores) < 0.05  # one that failed would be no draw, but a bug


def test_a_training_is_named_by_network_and_seed():
    assert trainings.parts_of("cifar10-a#3") == ("cifar10-a", 3)
    assert trainings.parts_of("cifar10") == ("cifar10", 0)
    for network in RECIPES:
        names = trainings.names_of(network)
        assert [trainings.name_of(*trainings.parts_of(name)) for name in names] == list(names)


def test_a_training_that_is_not_there_says_how_to_make_it(monkeypatch, tmp_path):
    with pytest.raises(models.ModelError, match=r"no training 'none#1'\. Trainings of 'none': none"):
        trainings.load("none#1")
    with pytest.raises(models.ModelError, match=r"no training 'resnet#9'.*: 'resnet', 'resnet#1', 'resnet#2'"):
        trainings.load("resnet#9")
    monkeypatch.setattr(trainings, "ASSETS", tmp_path)
    with pytest.raises(models.ModelError, match=r"train_source\.py 'cifar10#2'` trains it"):
        trainings.load("cifar10#2")


def test_an_interrupted_run_ends_as_an_undisturbed_one(tmp_path, capsys):
    whole = run(tmp_path / "whole")
    run(tmp_path / "halves", epochs=1)
    halves = run(tmp_path / "halves")
    assert "Going on after epoch 1" in capsys.readouterr().out
    for card in (whole, halves):
        assert card["history"][-1]["epoch"] == 2
        for point in card["history"]:
            del point["seconds"]
    for one, other in zip(whole["history"], halves["history"], strict=True):
        assert one["loss"] == pytest.approx(other["loss"], rel=1e-4)


def test_ctrl_c_ends_in_a_sentence_and_the_next_call_goes_on(tmp_path, monkeypatch, capsys):
    real, calls = train_source.training.fit, []

    def interrupted(*arguments, **options):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*arguments, **options)

    monkeypatch.setattr(train_source.training, "fit", interrupted)
    monkeypatch.setitem(RECIPES, "digits", Recipe("300 digits", some_digits, epochs=2, batch_size=32))
    monkeypatch.setattr("sys.argv", ["train_source.py", "digits", "--state", str(tmp_path), "--assets", str(tmp_path)])
    with pytest.raises(SystemExit, match=r"Interrupted\. The complete epochs are kept"):
        train_source.main()
    train_source.main()
    assert "Going on after epoch 1" in capsys.readouterr().out
    assert (tmp_path / "source_digits.npz").is_file()


def test_data_that_are_not_here_and_a_place_that_cannot_be_written_are_sentences(tmp_path, monkeypatch):
    def missing():
        raise data.DataUnavailable("Expected the images; found none.")

    place = tmp_path / "file"
    place.touch()
    monkeypatch.setattr("sys.argv", ["train_source.py", "digits", "--state", str(place)])
    monkeypatch.setitem(RECIPES, "digits", Recipe("300 digits", some_digits, epochs=1))
    with pytest.raises(SystemExit, match="The files cannot be written"):
        train_source.main()
    monkeypatch.setitem(RECIPES, "digits", Recipe("300 digits", missing, epochs=1))
    with pytest.raises(SystemExit, match="Expected the images; found none"):
        train_source.main()


def test_the_card_describes_the_file_that_ships(tmp_path):
    card, held_out = run(tmp_path), some_digits()
    model = models.load_weights(models.source_cnn(), tmp_path / "source_digits.npz")
    score = transfer.evaluate(model, held_out.rows(held_out.held_out))
    assert score.accuracy == card["test_accuracy"]
    assert score.confusion.tolist() == card["confusion"]
    assert card.keys() == models.model_card().keys()
    assert card["command"] == "python tools/train_source.py digits"
    assert sum(card["data"]["images"].values()) == 300
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "source_digits.json",
        "source_digits.npz",
        "state",
    ]


def test_a_state_of_another_recipe_is_not_continued(tmp_path):
    run(tmp_path, epochs=1)
    with pytest.raises(SystemExit, match=r"last\.npz was begun with .*rate 0\.001.*, not with .*rate 0\.01"):
        run(tmp_path, learning_rate=0.01)


def test_the_names_on_the_command_line(capsys):
    assert train_source.arguments([]).names == [name for network in RECIPES for name in trainings.names_of(network)]
    assert train_source.arguments(["digits", "cifar10-a#1"]).names == ["digits", "cifar10-a#1"]
    with pytest.raises(SystemExit):
        train_source.arguments(["mnist"])
    assert "no recipe for mnist; there is one for cifar10, cifar10#1" in capsys.readouterr().err
