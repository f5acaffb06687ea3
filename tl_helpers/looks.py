"""One look for an arm: its colour, marker and dash are the same in every figure and on every interactive page.

A family of arms shares a colour, its members differ in marker and dash. The colours are told apart with every common
colour vision deficiency, and their contrast on white is at least 4.5. Taught in: no chapter (a tool for adding a
figure or an arm).
"""

import itertools
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Look:
    """What tells one series from another.

    Attributes
    ----------
    colour : str
        As ``"#0072B2"``.
    marker : str
        Matplotlib's letter: o circle, s square, ^ v < > triangles, D d diamonds, P plus, X cross, * star, p pentagon,
        h hexagon.
    dash : tuple of float
        Lengths of stroke and gap in turn, in widths of the line; empty for a solid line.
    """

    colour: str
    marker: str
    dash: tuple[float, ...]


_CUT = ("pool1", "pool2", "dense")
_SWEPT = ("n", 1, 2, 3)  # first layers; with "n" the line over all three
FAMILIES: dict[str, tuple[str, ...]] = {
    # A head on the source's frozen features.
    "#0072B2": (
        *("linear head, source features", "Dense(512) head, source features", "the document's recipe", "linear probe"),
        *("Dense(64) head, source features", "linear head, raw source features"),
        *(f"linear head on {layer}, source features" for layer in _CUT),
        *(f"A{n}B" for n in _SWEPT),
    ),
    # Copied and trained on.
    "#C85200": (
        *("fine-tuned from the source", "LP-FT", "fine-tuned, two rates", "plain fine-tuning"),
        *(f"A{n}B+" for n in _SWEPT),
        *("fine-tuned on 500 labels", "A2B, 1 frozen", "A3B, 1 frozen", "A3B, 2 frozen"),
        *("fine-tuned from ImageNet after block6", "fine-tuned from ImageNet, last stage"),
        *("LP-FT, two rates", "LP-FT, weights averaged"),
        *(f"fine-tuned, {what}" for what in ("flips", "shifts", "flips and shifts", "weight decay", "early stopping")),
        *("fine-tuned, constant rate", "fine-tuned, slower lower layers"),
    ),
    # Random features: what the architecture gives.
    "#00694C": (
        "linear head, random features",
        *(f"linear head on {layer}, random features" for layer in _CUT),
        "random, frozen",
        *(f"random{n}B" for n in _SWEPT[1:]),
        "linear head, random features of the large network",
    ),
    "#000000": ("from scratch",),
    "#757575": ("logistic regression on pixels", "linear head, pixels"),
    # Trained under a constraint. And a head on features of the large source: no figure has both.
    "#93357F": (
        *("L2-SP", "attention transfer", "distillation", "logic rules", "logic rules, wrong", "rules at prediction"),
        "linear head, ImageNet features",
        *(f"linear head on block{n}, ImageNet features" for n in range(2, 8)),
        *("augmented, ImageNet features", "distillation, teacher with the same labels"),
    ),
    # Copied from a network that was trained on the target.
    "#5E4200": (*(f"B{n}B" for n in _SWEPT), *(f"B{n}B+" for n in _SWEPT)),
}
# The sweep's arms as the records call them, and the names where a page has no room for more.
RECORDED = {
    f"{start}{n}B, {frozen} frozen": f"{start}{n}B" if frozen else f"{start}{n}B+"
    for start, n in itertools.product(("A", "B", "random"), _SWEPT[1:])
    for frozen in ((n,) if start == "random" else (n, 0))
}
SHORT = {
    "source features": "linear head, source features",
    "random features": "linear head, random features",
    "fine-tuned": "fine-tuned from the source",
    "copied, frozen": "linear probe",
}
ALIASES = RECORDED | SHORT
_MARKERS = "os^DvPX<>*phd"
_DASHES = ((), (5, 1.5), (3, 1, 1, 1), (1.5, 1), (7, 1.5, 1, 1.5), (4, 1, 1, 1, 1, 1), (1, 2))
# In such steps that the arms of one figure differ in marker and in dash too.
ARMS = {
    name: Look(colour, _MARKERS[(row + 7 * column) % 13], _DASHES[(row + 5 * column) % 7])
    for row, (colour, names) in enumerate(FAMILIES.items())
    for column, name in enumerate(names)
}
INKS = tuple(ARMS[names[0]] for names in FAMILIES.values())  # for series that are no arm of the book


def look(name: str) -> Look:
    """Return the look of an arm of the book.

    Parameters
    ----------
    name : str
        As in `FAMILIES` or `ALIASES`.

    Returns
    -------
    Look

    Raises
    ------
    KeyError
        If the book has no such arm.

    Notes
    -----
    Taught in: no chapter (a tool for adding a figure).
    """
    return ARMS[ALIASES.get(name, name)]


def looks_of(names: Iterable[str], repeat: bool = False) -> dict[str, Look]:
    """Give each series of a figure its look: an arm its own, any other one by position, in a colour that is free.

    Parameters
    ----------
    names : iterable of str
    repeat : bool
        Let looks come again where there are more series than inks: where the names stand beside what is drawn.

    Returns
    -------
    dict of str to Look

    Raises
    ------
    ValueError
        If there are no names, or more than there are inks.

    Notes
    -----
    Taught in: no chapter (a tool for adding a figure).
    """
    names = list(names)
    if not names or (len(names) > len(INKS) and not repeat):
        raise ValueError(f"Expected 1 to {len(INKS)} series in one figure, found {len(names)}. Use two figures.")
    taken = {name: ARMS[arm] for name in names if (arm := ALIASES.get(name, name)) in ARMS}
    used = {known.colour for known in taken.values()}
    free = itertools.cycle([ink for ink in INKS if ink.colour not in used] or INKS)
    return {name: taken[name] if name in taken else next(free) for name in names}


def as_json() -> dict[str, dict[str, str]]:
    """Return all looks for the interactive pages: name of an arm, `ALIASES` too, to its colour, marker and dash.

    Returns
    -------
    dict of str to dict of str to str
        ``dash`` is SVG's: lengths in pixels for a line two pixels wide, empty if solid.

    Notes
    -----
    Taught in: no chapter (what the explorer and the drawing page draw with).
    """
    known = ARMS | {name: look(name) for name in ALIASES}
    return {
        name: {"colour": arm.colour, "marker": arm.marker, "dash": " ".join(f"{2 * length:g}" for length in arm.dash)}
        for name, arm in known.items()
    }
