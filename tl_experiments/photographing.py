"""Photograph it, transfer it: the reader's own photographs, and the large network that sees them in the browser.

Taught in: chapter 8.1 (Photograph it, transfer it).
"""

import base64
import functools
import hashlib
import io
import itertools
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import traitlets
from PIL import Image

from tl_base import files, photographs, stages
from tl_base.bundler import bundle
from tl_base.pages import Page
from tl_helpers import asset
from tl_helpers.widgets import FRONT, page_looks

SIZE = 128  # side of the photographs on the page, in pixels
MOST_CLASSES = 8
KINDS = ("cardboard", "glass", "metal")  # of TrashNet, what the page offers as examples
PER_KIND = 12
QUALITY = 60  # of the examples as WebP
FOLDER = "_static"  # of the site, where they lie
PARTS = 8  # files that the weights lie in on the site: so many steps has the bar that says how much is there
# What is trained side by side, and the arm of the book that it looks like in figures.
ARMS = {
    "ImageNet features": "linear head, ImageNet features",
    "random features": "linear head, random features of the large network",
    "pixels": "linear head, pixels",
    "last stage fine-tuned": "fine-tuned from ImageNet, last stage",
}


def network() -> dict[str, Any]:
    """Tell the page what it computes: EfficientNet-Lite0, without its classifier.

    Returns
    -------
    dict
        ``size`` of the pictures; ``middle`` and ``spread``: what goes in is ``(x - middle) / spread``; ``epsilon``,
        ``most`` (of ReLU6), ``stem``, ``stages`` and ``features`` as in `tl_base.stages`.

    Notes
    -----
    Taught in: chapter 8.1 (Photograph it, transfer it).
    """
    scales = {"middle": stages.MIDDLE, "spread": stages.SPREAD, "epsilon": stages.EPSILON, "most": stages.MOST}
    told = [asdict(stage) for stage in stages.STAGES]
    return {"size": SIZE, **scales, "stem": stages.STEM, "stages": told, "features": stages.FEATURES}


@functools.cache
def weights() -> dict[str, npt.NDArray[np.float16]]:
    """Read the weights of the ImageNet network as they ship: what the page computes with.

    Returns
    -------
    dict of str to ndarray, float16
        ``"stem_conv/kernel"`` and so on, input first: 3,413,024 numbers.

    Notes
    -----
    Read without TensorFlow. Taught in: chapter 8.1 (Photograph it, transfer it).
    """
    with asset("source_imagenet.npz").open("rb") as opened, np.load(opened, allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}


@functools.cache
def parts() -> dict[str, bytes]:
    """Divide the weights into the parts that a page loads one after the other.

    Returns
    -------
    dict of str to bytes
        Name of a part, which names its content too, to its numbers.

    Notes
    -----
    Taught in: chapter 8.1 (Photograph it, transfer it).
    """
    told = b"".join(np.ascontiguousarray(array).tobytes() for array in weights().values())
    digest = hashlib.sha256(told).hexdigest()[:8]
    ends = [len(told) * i // PARTS // 2 * 2 for i in range(PARTS + 1)]
    cut = itertools.pairwise(ends)
    return {f"backbone_{digest}_{i}": told[start:end] for i, (start, end) in enumerate(cut, 1)}


def write_weights(folder: files.PathLike) -> list[Path]:
    """Write the weights as scripts, which a page may load from beside it, opened as a file or not.

    Parameters
    ----------
    folder : path-like
        It is made where it is missing; the site's is `FOLDER`.

    Returns
    -------
    list of pathlib.Path
        One file for each of `parts`.

    Notes
    -----
    Taught in: chapter 8.1 (Photograph it, transfer it).
    """
    written = []
    Path(folder).mkdir(parents=True, exist_ok=True)
    for name, numbers in parts().items():
        text = base64.b64encode(numbers).decode()
        written.append(Path(folder) / f"{name}.js")
        files.write(written[-1], f'(globalThis.tlBackbone ??= {{}})["{name}"] = "{text}";\n')
    return written


def told_of_weights() -> dict[str, Any]:
    """Tell the page where the weights are and how many.

    Returns
    -------
    dict
        ``folder``, as seen from the root of the site; ``parts``, names and bytes; ``bytes``, together; ``text``, as
        text in files; ``layout``, the arrays behind each other.

    Notes
    -----
    Taught in: chapter 8.1 (Photograph it, transfer it).
    """
    sizes = {name: len(numbers) for name, numbers in parts().items()}
    layout = [{"name": name, "shape": list(array.shape)} for name, array in weights().items()]
    listed = [{"name": name, "bytes": size} for name, size in sizes.items()]
    text = sum((size + 2) // 3 * 4 for size in sizes.values())
    return {"folder": FOLDER, "parts": listed, "bytes": sum(sizes.values()), "text": text, "layout": layout}


@functools.cache
def examples() -> dict[str, Any]:
    """Return the photographs that the page offers: some of TrashNet that ship with the book.

    Returns
    -------
    dict
        ``names`` of the classes, ``type`` of the pictures, and ``pictures``: each with its ``label``, ``name`` and
        ``data``, a WebP of 128 × 128 pixels in base64.

    Notes
    -----
    The middle square, as everywhere on the page. Taught in: chapter 8.1 (Photograph it, transfer it).
    """
    pictures = []
    for label, kind in enumerate(KINDS):
        for path in sorted(asset(f"trashnet/{kind}").glob("*.jpg"))[:PER_KIND]:
            stored = io.BytesIO()
            Image.fromarray(photographs.read(path, SIZE, SIZE).pixels).save(stored, "WEBP", quality=QUALITY, method=6)
            text = base64.b64encode(stored.getvalue()).decode()
            pictures.append({"label": label, "name": path.stem, "data": text})
    told = f"{len(pictures)} photographs of rubbish from TrashNet (Gary Thung and Mindy Yang, MIT licence)"
    return {"names": list(KINDS), "type": "image/webp", "told": told, "pictures": pictures}


class Photograph(Page, program=FRONT / "photographs.js"):
    """Photograph things, let the book's large network learn them in the browser, and compare: no picture leaves it.

    Notes
    -----
    With a kernel, the page asks it for the weights of the network; without one, it loads them from the site's static
    folder. Both only when the reader asks. Taught in: chapter 8.1 (Photograph it, transfer it).
    """

    STATIC = ("content", "engine")
    content = traitlets.Dict().tag(sync=True)
    engine = traitlets.Unicode(bundle(FRONT / "photographs_engine.js", "")).tag(sync=True)

    def __init__(self) -> None:
        known = page_looks(ARMS.values())
        looks = {name: known[arm] for name, arm in ARMS.items()}
        arms = {"arms": [{"name": name} for name in ARMS], "looks": looks, "most_classes": MOST_CLASSES}
        super().__init__(content={"network": network(), "weights": told_of_weights()} | arms | {"examples": examples()})
        self.on_msg(self._heard)

    def __repr__(self) -> str:
        return f"Photograph({', '.join(ARMS)})"

    def _heard(self, _: object, message: dict[str, Any], __: object) -> None:
        """Answer a page that asks for a part of the weights."""
        name = message.get("weights")
        if name in parts():
            self.send({"weights": name}, buffers=[parts()[name]])
        elif name is not None:
            self.send({"refused": f"The kernel has no weights named {name!r}. Run this cell again."})
