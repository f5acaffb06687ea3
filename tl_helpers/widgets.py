"""What a reader can move: the explorer, and figures with sliders, with a kernel and on the static page without one.

Taught in: chapter 4.2 (The explorer).
"""

import itertools
import json
import math
import numbers
import threading
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from decimal import Decimal
from importlib import resources

import anywidget
import numpy as np
import traitlets

from tl_helpers.experiments import explorer, records
from tl_helpers.experiments.grid import Run

MOST_SERIES = 4
IDLE = {"status": "idle", "message": "Train runs this choice in the kernel, as the records were made.", "steps": []}


# The end of a widget's module on a page without a kernel: it takes the first place of its kind that is still free.
_START = """const places = [...document.querySelectorAll('[data-widget="{kind}"]')];
const place = places.findIndex((each) => !each.id);
const name = `{kind}-${{place + 1}}`;
places[place].id = `${{name}}-here`;
const values = {{ name, ...{values} }};
render({{ model: {{ get: (key) => values[key], set() {{}}, save_changes() {{}} }}, el: places[place] }});"""


class WidgetError(ValueError):
    """What was asked of a widget is not there."""


def _front(*names):
    """Read files of the front end, one behind the other."""
    folder = resources.files("tl_helpers") / "front"
    return "\n".join((folder / name).read_text(encoding="utf-8") for name in names)


def _plain(value, where):
    """Turn what people pass into what a page can hold; `where` says in an error what it was passed for."""
    if value is None:
        return None
    for kind, types in ((str, str), (bool, bool | np.bool_), (int, numbers.Integral)):
        if isinstance(value, types):
            return kind(value)
    if isinstance(value, numbers.Real | Decimal):
        found = float(str(value)) if isinstance(value, np.floating) else float(value)  # float32(0.1) is 0.1
        if not math.isfinite(found):
            raise WidgetError(f"A number in {where} is {found}; a page shows finite ones. Leave it out or replace it.")
        return found
    if isinstance(value, Mapping):
        return {str(name): _plain(each, where) for name, each in value.items()}
    if getattr(value, "ndim", None) == 0 and not isinstance(value, np.generic | np.ma.MaskedArray):
        return _plain(np.asarray(value)[()], where)
    if isinstance(value, Iterable) and not isinstance(value, bytes | set | frozenset | np.ma.MaskedArray):
        return [_plain(each, where) for each in value]
    raise WidgetError(
        f"{where} holds {value!r}, of type {type(value).__name__}. A page shows numbers and words; turn it into one of "
        "them, or into a list of them."
    )


class Page(anywidget.AnyWidget):
    """A widget that can also stand on a page without a kernel.

    Parameters
    ----------
    **traits
        What goes to the page. Numbers of NumPy, pandas and the standard library become Python's own.

    Raises
    ------
    WidgetError
        If something in there is no number, word, list or mapping, or a number is not finite.

    Notes
    -----
    Its module may read `STATIC`, and on a page without a kernel ``name``: the widget's kind and its place among those
    of its kind on that page, such as ``"explorer-1"``. There it must not need more of its model than ``get``, ``set``
    and ``save_changes``. Taught in: no chapter (a tool for adding a widget).
    """

    STATIC = ()
    _css = _front("widgets.css")

    def __init__(self, **traits):
        super().__init__(**{name: _plain(value, name) for name, value in traits.items()})

    def html(self):
        """Return the widget as HTML that needs no kernel and loads nothing: data, style and program are inside.

        Returns
        -------
        str
        """
        kind = type(self).__name__.lower()
        values = {"live": None} | {name: getattr(self, name) for name in self.STATIC}
        told = json.dumps(values, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
        program = self._esm.replace("export default { render };", _START.format(kind=kind, values=told))
        place = f'<div data-widget="{kind}">What belongs here needs JavaScript. In JupyterLab, run this cell.</div>'
        return f'<style>{self._css}</style>\n{place}\n<script type="module">\n{program}\n</script>'

    def _repr_mimebundle_(self, **kwargs):
        """Offer the live widget, and the static one where nothing can show it."""
        data, metadata = super()._repr_mimebundle_(**kwargs)
        return {**data, "text/html": self.html(), "text/plain": repr(self)}, metadata


class Explorer(Page):
    """Compare frozen and fine-tuned layers: recorded runs everywhere, live training where there is a kernel.

    Parameters
    ----------
    pair : {"far", "near"}
        CIFAR-10 to MNIST, or five classes of CIFAR-10 to the other five.
    labels : int
        Per class: 2, 5, 10 or 50. Any whole number will do, NumPy's too.
    method : str
        ``"plain"``, ``"feature extraction"``, ``"LP-FT"``, ``"L2-SP"``, ``"attention transfer"``, ``"distillation"``
        or ``"logic rules"``.
    states : str
        One letter for each of conv1 to conv3: F copied and frozen, T copied and trained, R random and trained, Z random
        and frozen.
    shown : dict, optional
        As `explorer.payload` returns it; by default made of the records that ship.

    Attributes
    ----------
    choice : dict
        ``pair``, ``labels``, ``method``, ``states``: what is shown now; it follows the reader, and can be set.
    live : dict
        State of the training in the kernel: ``status`` (idle, loading, training, done, stopped, error), ``message``,
        ``choice``, ``seed``, ``rate``, ``code`` (the call that does this run again), ``steps``, ``total``,
        ``accuracy`` (on validation images), ``test``.

    Raises
    ------
    WidgetError
        If nothing of that kind is offered.

    Notes
    -----
    Taught in: chapter 4.2 (The explorer).
    """

    STATIC = ("payload", "choice")
    _esm = _front("common.js", "explorer.js")
    payload = traitlets.Dict().tag(sync=True)
    choice = traitlets.Dict().tag(sync=True)
    live = traitlets.Dict().tag(sync=True)

    def __init__(self, pair="far", labels=5, method="plain", states="FFR", shown=None):
        choice = _choice({"pair": pair, "labels": labels, "method": method, "states": states})
        shown = explorer.payload() if shown is None else shown
        super().__init__(payload=shown, choice=choice, live=IDLE | {"choice": None})
        self._stop, self._thread = threading.Event(), None
        self.on_msg(self._heard)

    @traitlets.validate("choice")
    def _offered(self, proposal):
        return _choice(proposal["value"])

    def __repr__(self):
        return f"Explorer({', '.join(f'{name}={value!r}' for name, value in self.choice.items())})"

    def _heard(self, _, message, __):
        self.send({"heard": message.get("do")})  # the page waits for this: a restarted kernel would stay silent
        if message.get("do") == "stop":
            self._stop.set()
        elif message.get("do") == "train":
            self.train(message["seed"], message["rate"], {name: message[name] for name in self.choice})

    def train(self, seed=0, rate=None, choice=None):
        """Train a choice in the background, through the code that made the records; `live` follows.

        Parameters
        ----------
        seed : int
        rate : float, optional
            Learning rate; by default the recorded one.
        choice : dict, optional
            By default what is shown.

        Returns
        -------
        bool
            Whether training began: while one runs, another does not begin.

        Raises
        ------
        WidgetError
            If nothing of that kind is offered. A wrong seed or rate is told in `live`.
        """
        if self.live["status"] in ("loading", "training"):
            return False
        choice = _choice(self.choice if choice is None else choice)
        self._stop.clear()
        self.live = IDLE | {"status": "loading", "choice": choice, "message": "Loading the network and the images …"}
        self._thread = threading.Thread(target=self._train, args=(choice, seed, rate), daemon=True)
        self._thread.start()
        return True

    def stop(self):
        """End the training after the point that it is at; what was reached stays shown."""
        self._stop.set()

    def _train(self, choice, seed, rate):
        try:
            run = run_of(choice, seed, rate)
            self.live = self.live | {"seed": run.seed, "rate": run.learning_rate, "code": explorer.code(run)}
            from tl_helpers.experiments import workbench  # loads TensorFlow

            row = workbench.live(run, lambda history: self._show(run, history))
        except Exception as error:
            self.live = self.live | {"status": "error", "message": f"It could not be trained. {error}"}
            return
        if row["test_accuracy"] is None:
            done = (
                f"{_which(run)}: stopped after {self.live['steps'][-1]} of {self.live['total']} steps; the test set "
                "was not looked at."
            )
            self.live = self.live | {"status": "stopped", "message": done}
        else:
            right = f"{100 * row['test_accuracy']:.1f} % of the test images right"
            said = f"{_which(run)}: {right}, {row['seconds']:.1f} s."
            self.live = self.live | {"status": "done", "test": row["test_accuracy"], "message": said}

    def _show(self, run, history):
        """Show a point of the live curve; tell whether to end."""
        points = {"steps": list(history.steps), "accuracy": list(history.validation_accuracy), "total": run.steps}
        reached = f"step {history.steps[-1]} of {run.steps}, validation accuracy {history.validation_accuracy[-1]:.2f}"
        said = f"{_which(run)}: {reached}."
        self.live = self.live | points | {"status": "training", "test": None, "message": said}
        return self._stop.is_set()


class Movable(Page):
    """A figure of lines or bars whose controls pick one of the frames that were computed beforehand.

    Parameters
    ----------
    title : str
    frame : callable
        Takes one value of each control, by name; returns ``(values, told)``: for each of `series` one number for each
        of `x`, and a sentence that says what the frame shows. Or a sentence alone where there is nothing to draw.
    controls : mapping of str to sequence
        Name to values, all numbers or all words: numbers get a slider, words a list. Every combination is computed at
        once. Here and below a sequence is a list, a range, a generator, or an array or column of NumPy or pandas.
    x : sequence of float or str
        Places of the points of the lines, at least two and rising, or names of the bars.
    series : sequence of str
        At most four.
    kind : {"lines", "bars"}
    xlabel, ylabel : str
    limits : (float, float)
        Of the vertical axis; the same in all frames, so that they can be compared.
    start : mapping of str to value, optional
        By default the first of each control's values.

    Raises
    ------
    WidgetError
        If a frame does not fit `series` and `x`, a start is not among the values, or something passed is not as
        above.

    Notes
    -----
    Taught in: chapters 3.1 (Feature extraction), 3.2 (Parameter transfer) and 3.3 (Knowledge transfer).
    """

    STATIC = ("content",)
    _esm = _front("common.js", "movable.js")
    content = traitlets.Dict().tag(sync=True)

    def __init__(
        self, title, frame, controls, *, x, series, kind="lines", xlabel="", ylabel="", limits=(0, 1), start=None
    ):
        controls = {name: _listed(f"the control {name!r}", values) for name, values in controls.items()}
        series, x, limits = _listed("series", series), _listed("x", x), _plain(limits, "limits")
        _fits(kind, x, series, limits)
        start = {} if start is None else dict(start)
        if unknown := [name for name in start if name not in controls]:
            raise WidgetError(f"start names {unknown[0]!r}, and the controls are {', '.join(map(repr, controls))}.")
        listed = [
            {"name": name, "values": _plain(values, name), "start": _place(name, values, start.get(name, values[0]))}
            for name, values in controls.items()
        ]
        frames = {}
        for places in itertools.product(*(range(len(values)) for values in controls.values())):
            given = {name: values[i] for i, (name, values) in zip(places, controls.items(), strict=True)}
            frames["|".join(map(str, places))] = _framed(frame(**given), given, len(series), len(x))
        shape = {"title": title, "kind": kind, "xlabel": xlabel, "ylabel": ylabel, "limits": limits}
        super().__init__(content=shape | {"controls": listed, "series": series, "x": x, "frames": frames})

    def __repr__(self):
        return f"Movable({self.content['title']!r}, {len(self.content['frames'])} frames)"


def _listed(name, values):
    """Return values as a list of what was passed, if all are numbers or all are words."""
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise WidgetError(f"{name} is {values!r}; expected a sequence of numbers or words.")
    found = list(values)
    shown = _plain(found, name)
    kinds = {"numbers" if type(each) in (int, float) else type(each).__name__ for each in shown}
    if len(kinds) != 1 or not kinds <= {"numbers", "str", "bool"}:
        raise WidgetError(f"{name} has the values {shown}; expected at least one, and all numbers or all words.")
    return found


def _fits(kind, x, series, limits):
    """Check the axes of a figure."""
    if kind not in ("lines", "bars"):
        raise WidgetError(f"kind is {kind!r}; expected 'lines' or 'bars'.")
    if len(series) > MOST_SERIES:
        raise WidgetError(f"There are {len(series)} series; at most {MOST_SERIES} can be told apart.")
    if kind == "lines" and (isinstance(x[0], str) or len(x) < 2 or any(a >= b for a, b in itertools.pairwise(x))):
        raise WidgetError(f"Lines need at least two numbers that rise; x is {_plain(x, 'x')}. Names go with bars.")
    if not isinstance(limits, list) or len(limits) != 2 or not limits[0] < limits[1]:
        raise WidgetError(f"limits is {limits}; expected two numbers, the lower one first.")


def _place(name, values, value):
    shown, value = _plain(values, name), _plain(value, f"the start of {name}")
    if value not in shown:
        raise WidgetError(f"{name} cannot start at {value!r}; its values are {', '.join(map(str, shown))}.")
    return shown.index(value)


def _framed(found, given, series, points):
    """Check a frame and round it."""
    given = _plain(given, "controls")
    if isinstance(found, str):
        return found
    if not isinstance(found, tuple | list) or len(found) != 2 or not isinstance(found[1], str):
        raise WidgetError(f"The frame for {given} is {found!r}; expected (values, sentence), or a sentence alone.")
    values, told = found
    try:
        values = np.ma.filled(np.ma.asarray(values, dtype=float), np.nan)
    except (TypeError, ValueError) as error:
        raise WidgetError(
            f"The frame for {given} has values that are no table of numbers ({error}); expected {series} series of "
            f"{points} numbers."
        ) from error
    if values.shape != (series, points) or not np.isfinite(values).all():
        raise WidgetError(
            f"The frame for {given} has the shape {values.shape}, or numbers that are not finite; expected {series} "
            f"series of {points} numbers."
        )
    return {"values": [[float(f"{value:.4g}") for value in row] for row in values], "told": told}


class Quiz(Page):
    """Questions about a chapter, each with an answer at once and a reason for it.

    Parameters
    ----------
    chapter : str
        Name of its file, without the ending.

    Raises
    ------
    WidgetError
        If there are no questions about it.

    Notes
    -----
    The questions stand in ``assets/quizzes.toml``. Taught in: every chapter that ends with one.
    """

    STATIC = ("content",)
    _esm = _front("common.js", "quiz.js")
    content = traitlets.Dict().tag(sync=True)

    def __init__(self, chapter):
        known = quizzes()
        if not isinstance(chapter, str) or chapter not in known:
            raise WidgetError(f"There are no questions about {chapter!r}. There are some about {', '.join(known)}.")
        super().__init__(content={"title": "Check yourself", "questions": known[chapter]})

    def __repr__(self):
        return f"Quiz, {len(self.content['questions'])} questions"


def quizzes():
    """Read the questions of all chapters.

    Returns
    -------
    dict of str to list of dict
        Chapter to questions: ``question``, ``choices`` (pairs of an answer and what to say to it), ``right`` (which).

    Notes
    -----
    Taught in: no chapter (a tool for adding a chapter).
    """
    text = (resources.files("tl_helpers") / "assets" / "quizzes.toml").read_text(encoding="utf-8")
    return tomllib.loads(text)


def run_of(choice, seed=0, rate=None):
    """Return the run of a choice in the explorer: that of the records, with a seed and a learning rate of one's own.

    Parameters
    ----------
    choice : dict
        As `Explorer.choice`.
    seed : int
        From 0 on.
    rate : float, optional
        Learning rate, above 0; by default the recorded one.

    Returns
    -------
    experiments.Run

    Raises
    ------
    WidgetError
        If nothing of that kind is offered, it has no record that says how to train it, or seed or rate are not as
        above.

    Notes
    -----
    Taught in: chapter 4.2 (The explorer).
    """
    choice = _choice(choice)
    rows = explorer.rows_for(records(), choice["pair"], _setting(choice), choice["labels"])
    if rows.empty:
        raise WidgetError("Nothing of this kind was recorded, so its learning rate is unknown. Choose another.")
    run = Run.of(rows.iloc[0])
    seed, rate = _plain(seed, "seed"), _plain(run.learning_rate if rate is None else rate, "rate")
    if type(seed) is not int or not 0 <= seed < 2**31:
        raise WidgetError(f"A seed is a whole number from 0 to {2**31 - 1:,}; found {seed!r}.")
    if type(rate) not in (int, float) or rate <= 0:
        raise WidgetError(f"A learning rate is a number above 0; found {rate!r}. Leave it out for the recorded one.")
    return replace(run, experiment="live", seed=seed, learning_rate=float(rate))


def _which(run):
    return f"Seed {run.seed}, learning rate {run.learning_rate:g}"


def _choice(choice):
    """Return a choice with Python's own numbers and words, if it is offered."""
    names = ("pair", "labels", "method", "states")
    choice = _plain(choice, "choice")
    if not isinstance(choice, dict) or set(choice) != set(names):
        raise WidgetError(f"A choice has {', '.join(names)}; found {choice!r}.")
    if type(choice["labels"]) is float and choice["labels"].is_integer():
        choice["labels"] = int(choice["labels"])
    for name in names:
        kind, words = (int, "whole number") if name == "labels" else (str, "word")
        if type(choice[name]) is not kind:
            raise WidgetError(f"{name} is {choice[name]!r}; expected a {words}.")
    _setting(choice)
    return choice


def _setting(choice):
    """Return the setting that a choice names."""
    if choice["pair"] not in explorer.PAIRS or choice["labels"] not in explorer.EXPLORED:
        pairs, labels = ", ".join(explorer.PAIRS), ", ".join(map(str, explorer.EXPLORED))
        raise WidgetError(
            f"Pairs are {pairs}; labels per class {labels}. Found {choice['pair']!r}, {choice['labels']!r}."
        )
    offered = explorer.offered(choice["pair"])
    found = [each for each in offered if (each.method, each.states) == (choice["method"], choice["states"])]
    if not found:
        known = "; ".join(f"{method} with {', '.join(states)}" for method, states in _states_by_method(offered).items())
        raise WidgetError(f"There is no {choice['method']!r} with {choice['states']!r}. Offered: {known}.")
    return found[0]


def _states_by_method(offered):
    return {each.method: [other.states for other in offered if other.method == each.method] for each in offered}
