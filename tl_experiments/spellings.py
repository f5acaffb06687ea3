"""Which depths mean something together with a method, and the one spelling of those that mean the same.

Each function takes an arm or a recipe, and the number of layers up to its cut; it returns the fields that have one
value only, or None where the depths mean nothing together. A grid leaves such runs out.
Taught in: chapter 4 (Worked example).
"""

from typing import Any, Protocol


class Copied(Protocol):
    """What a spelling looks at: an arm or a recipe."""

    @property
    def initialisation(self) -> str: ...  # noqa: D102
    @property
    def layers_copied(self) -> int: ...  # noqa: D102
    @property
    def layers_frozen(self) -> int: ...  # noqa: D102


def all_frozen(recipe: Copied, depth: int) -> dict[str, Any]:
    """All up to the cut is copied and frozen."""
    return {"layers_copied": depth, "layers_frozen": depth}


def nothing_copied(recipe: Copied, depth: int) -> dict[str, Any]:
    """There is no source."""
    return {"layers_copied": 0, "layers_frozen": 0, "initialisation": "random"}


def frozen_is_copied(recipe: Copied, depth: int) -> dict[str, Any] | None:
    """Only copied layers can be frozen."""
    return {} if recipe.layers_frozen <= recipe.layers_copied <= depth else None


def some_copied_trains(recipe: Copied, depth: int) -> dict[str, Any] | None:
    """Refuse what trains the same layers in both phases of LP-FT."""
    return frozen_is_copied(recipe, depth) if recipe.layers_frozen < recipe.layers_copied else None


def has_source(recipe: Copied, depth: int) -> dict[str, Any] | None:
    """Refuse attention transfer where the layers have no source to look at."""
    with_source = recipe.initialisation == "source" and recipe.layers_copied > 0
    return frozen_is_copied(recipe, depth) if with_source else None


def trains_what_has_a_source(recipe: Copied, depth: int) -> dict[str, Any] | None:
    """Refuse L2-SP where nothing that is trained has a weight in the source."""
    return has_source(recipe, depth) if recipe.layers_frozen < recipe.layers_copied else None
