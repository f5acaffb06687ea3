"""Draw it, transfer it: the reader's own symbols, and networks that train on them in the browser.

Taught in: chapter 8 (Draw it, transfer it).
"""

import base64
from typing import Any

import numpy as np
import numpy.typing as npt
import traitlets
from PIL import Image, ImageDraw

from tl_base.bundler import bundle
from tl_base.pages import Page
from tl_base.pictures import SIDE
from tl_helpers import asset, data
from tl_helpers.widgets import FRONT, page_looks

Strokes = list[npt.NDArray[np.float64]]  # each a line through points, (N, 2)
# What the page computes of `models.source_cnn`: its convolutions, some with the largest of each two by two behind them.
TRUNK: list[dict[str, Any]] = [
    {"name": "conv1", "from": 3, "to": 32, "pool": True},
    {"name": "conv2", "from": 32, "to": 64, "pool": True},
    {"name": "conv3", "from": 64, "to": 64, "pool": False},
]
NETWORK = {"side": SIDE, "layers": TRUNK}
MOST_CLASSES = 6
AT_ONCE = 5  # examples of a class that the page starts with; the others are there to be tested with
PAPER = 256  # side of what a symbol is drawn on, in pixels
# What is trained side by side. The learning rates are those that the records chose for MNIST, 5 labels per class.
ARMS: tuple[dict[str, Any], ...] = (
    {"name": "source features", "random": False, "frozen": 3, "standardise": True, "rate": 3e-3},
    {"name": "fine-tuned", "random": False, "frozen": 0, "standardise": False, "rate": 3e-4},
    {"name": "from scratch", "random": True, "frozen": 0, "standardise": False, "rate": 3e-3},
    {"name": "random features", "random": True, "frozen": 3, "standardise": True, "rate": 3e-3},
)


class DrawingError(ValueError):
    """Drawings or weights are not what the page can take."""


def examples(per_class: int = 8, seed: int = 0) -> data.Dataset:
    """Draw circles, crosses and triangles, white on black, no two alike.

    Parameters
    ----------
    per_class : int
        At least 3, as `data.from_arrays` asks.
    seed : int

    Returns
    -------
    data.Dataset
        Images of the three classes in turn.

    Notes
    -----
    Taught in: chapter 8 (Draw it, transfer it).
    """
    generator = np.random.default_rng(seed)
    kinds = {"circle": _circle, "cross": _cross, "triangle": _triangle}
    images = [_inked(strokes(generator), generator) for _ in range(per_class) for strokes in kinds.values()]
    labels = np.tile(np.arange(len(kinds)), per_class)
    told = f"{len(images)} symbols drawn by a program, seed {seed}."
    return data.from_arrays(np.stack(images), labels, class_names=tuple(kinds), name="symbols", provenance=told)


def _circle(generator: np.random.Generator) -> Strokes:
    turns = np.linspace(0, 2 * np.pi, 40) + generator.uniform(0, 2 * np.pi)
    wobble = 1 + 0.06 * np.sin(2 * turns + generator.uniform(0, 6))
    return [np.stack([np.cos(turns), generator.uniform(0.75, 1.1) * np.sin(turns)], axis=1) * wobble[:, None]]


def _cross(generator: np.random.Generator) -> Strokes:
    ends = np.array([[[-1, -1], [1, 1]], [[-1, 1], [1, -1]]])
    return list(ends + generator.normal(0, 0.15, ends.shape))


def _triangle(generator: np.random.Generator) -> Strokes:
    corners = np.array([[0, -1.1], [1, 0.8], [-1, 0.8]]) + generator.normal(0, 0.13, (3, 2))
    return [np.concatenate([corners, corners[:1]])]


def _inked(strokes: Strokes, generator: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Draw lines given in units of half the symbol's size: turned, scaled and moved a little."""
    angle, size = generator.normal(0, 0.15), generator.uniform(60, 88)
    turn = size * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    middle = PAPER / 2 + generator.uniform(-18, 18, 2)
    paper = Image.new("L", (PAPER, PAPER))
    pen, width = ImageDraw.Draw(paper), int(generator.integers(14, 23))
    for stroke in strokes:
        points = [tuple(point) for point in stroke @ turn + middle]
        pen.line(points, fill=255, width=width, joint="curve")
        for x, y in (points[0], points[-1]):
            pen.ellipse((x - width / 2, y - width / 2, x + width / 2, y + width / 2), fill=255)
    return np.asarray(paper.reduce(PAPER // SIDE))


def weights(name: str = "cifar10") -> dict[str, npt.NDArray[np.float16]]:
    """Read the convolutions of a shipped source network in float16: what the page trains from.

    Parameters
    ----------
    name : {"cifar10", "cifar10-a", "digits"}
        As for `models.pretrained`.

    Returns
    -------
    dict of str to ndarray, float16
        ``"conv1/kernel"``, ``"conv1/bias"`` and so on, input first: 56,320 numbers.

    Raises
    ------
    DrawingError
        If there is no such network of these shapes, or a weight is too large for float16.

    Notes
    -----
    Read without TensorFlow, so that the page shows at once. The source's two dense layers are left out, since no
    network of the page uses them. Taught in: chapter 8 (Draw it, transfer it).
    """
    file = asset(f"source_{name}.npz")
    if not file.is_file():
        raise DrawingError(f"No network {name!r} ships with the book. `models.PRETRAINED` names those that do.")
    with file.open("rb") as opened, np.load(opened, allow_pickle=False) as stored:
        shapes = {f"{layer['name']}/{kind}": shape for layer in TRUNK for kind, shape in _shapes(layer).items()}
        kept = {key: stored[key] for key in shapes if key in stored}
    if {key: value.shape for key, value in kept.items()} != shapes:
        raise DrawingError(f"{name!r} has not the convolutions of `models.source_cnn`, which the page computes with.")
    with np.errstate(over="ignore"):
        halves = {key: value.astype("<f2") for key, value in kept.items()}
    if not all(np.isfinite(value).all() for value in halves.values()):
        raise DrawingError(f"A weight of {name!r} is too large for float16, whose largest number is 65,504.")
    return halves


def _shapes(layer: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    return {"kernel": (3, 3, layer["from"], layer["to"]), "bias": (layer["to"],)}


def packed(halves: dict[str, npt.NDArray[np.float16]]) -> str:
    """Write weights as text for the page.

    Parameters
    ----------
    halves : dict of str to ndarray, float16
        As `weights` returns them.

    Returns
    -------
    str
        Base64 of all numbers, one array behind the other.
    """
    return base64.b64encode(b"".join(np.ascontiguousarray(value).tobytes() for value in halves.values())).decode()


class Draw(Page, program=FRONT / "drawing.js"):
    """Draw symbols, transfer the book's network to them in the browser, and compare: nothing drawn leaves the page.

    Parameters
    ----------
    start : data.Dataset, optional
        What "Use the examples" offers: 2 to 6 classes. By default `examples`.

    Raises
    ------
    DrawingError
        If `start` is no data set, has more classes than the page, or images of another size.

    Notes
    -----
    It needs no kernel, and asks none. Taught in: chapter 8 (Draw it, transfer it).
    """

    STATIC = ("content", "engine")
    content = traitlets.Dict().tag(sync=True)
    engine = traitlets.Unicode(bundle(FRONT / "engine.js", "")).tag(sync=True)

    def __init__(self, start: data.Dataset | None = None) -> None:
        start = examples() if start is None else start
        if not isinstance(start, data.Dataset):
            raise DrawingError(
                f"The page starts from a data set, and this is of type {type(start).__name__}. `data.from_arrays` "
                "makes one of images and labels."
            )
        if len(start.class_names) > MOST_CLASSES:
            raise DrawingError(
                f"The page has 2 to {MOST_CLASSES} classes, {start.name!r} has {len(start.class_names)}. "
                "Choose some with `data.only`."
            )
        if start.images.shape[1:3] != (SIDE, SIDE):
            raise DrawingError(
                f"The page draws images of {SIDE}×{SIDE} pixels, those of {start.name!r} have "
                f"{start.images.shape[1]}×{start.images.shape[2]}. Make them with size={SIDE}."
            )
        source = {"network": NETWORK, "weights": packed(weights())}
        arms = {"arms": list(ARMS), "looks": page_looks(arm["name"] for arm in ARMS)}
        super().__init__(content=source | arms | {"examples": _offered(start)})

    def __repr__(self) -> str:
        return f"Draw({', '.join(self.content['examples']['names'])})"


def _offered(dataset: data.Dataset) -> dict[str, Any]:
    """Return a data set as the page takes it: names, labels, and grey images in base64."""
    grey = dataset.images.mean(axis=3).round().astype(np.uint8)
    told = {"names": list(dataset.class_names), "labels": dataset.labels.tolist(), "start": AT_ONCE}
    return told | {"images": base64.b64encode(grey.tobytes()).decode()}
