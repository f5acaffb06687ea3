"""What a reader can move: the explorer, and figures with sliders, with a kernel and on the static page without one.

Taught in: chapter 4.2 (The explorer).
"""

import itertools
import json
import threading
import tomllib
from dataclasses import replace
from importlib import resources

import anywidget
import numpy as np
import traitlets

from tl_helpers.experiments import explorer, records
from tl_helpers.experiments.grid import Run

IDLE = {"status": "idle", "message": "Train runs this choice in the kernel, as the records were made.", "steps": []}
_count = itertools.count(1)


class WidgetError(ValueError):
    """What was asked of a widget is not there."""


def _front(*names):
    """Read files of the front end, one behind the other."""
    folder = resources.files("tl_helpers") / "front"
    return "\n".join((folder / name).read_text(encoding="utf-8") for name in names)


class Page(anywidget.AnyWidget):
    """A widget that can also stand on a page without a kernel.

    Notes
    -----
    Its module may read `STATIC` and ``name``, and must not need more of its model than ``get``, ``set`` and
    ``save_changes`` there. Taught in: no chapter (a tool for adding a widget).
    """

    STATIC = ()
    _css = _front("widgets.css")
    name = traitlets.Unicode().tag(sync=True)

    def __init__(self, **traits):
        super().__init__(name=f"{type(self).__name__.lower()}-{next(_count)}", **traits)

    def html(self):
        """Return the widget as HTML that needs no kernel and loads nothing: data, style and program are inside.

        Returns
        -------
        str
        """
        values = {"live": None, "name": self.name} | {name: getattr(self, name) for name in self.STATIC}
        told = json.dumps(values, separators=(",", ":")).replace("<", "\\u003c")
        model = f"{{ values: {told}, get(name) {{ return this.values[name]; }}, set() {{}}, save_changes() {{}} }}"
        place = f"{self.name}-here"
        start = f'render({{ model: {model}, el: document.getElementById("{place}") }});'
        program = self._esm.replace("export default { render };", start)
        return f'<style>{self._css}</style>\n<div id="{place}"></div>\n<script type="module">\n{program}\n</script>'

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
        Per class: 2, 5, 10 or 50.
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
        ``choice``, ``steps``, ``total``, ``accuracy`` (on validation images), ``test``.

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
        choice = {"pair": pair, "labels": labels, "method": method, "states": states}
        _setting(choice)
        shown = explorer.payload() if shown is None else shown
        super().__init__(payload=shown, choice=choice, live=IDLE | {"choice": None})
        self._stop, self._thread = threading.Event(), None
        self.on_msg(self._heard)

    @traitlets.validate("choice")
    def _offered(self, proposal):
        _setting(proposal["value"])
        return proposal["value"]

    def __repr__(self):
        return f"Explorer({', '.join(f'{name}={value!r}' for name, value in self.choice.items())})"

    def _heard(self, _, message, __):
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
        """
        if self._thread and self._thread.is_alive():
            return False
        choice = dict(choice or self.choice)
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
            from tl_helpers.experiments import workbench  # loads TensorFlow

            row = workbench.live(run, lambda history: self._show(run, history))
        except Exception as error:
            self.live = self.live | {"status": "error", "message": f"It could not be trained. {error}"}
            return
        if row["test_accuracy"] is None:
            done = (
                f"Stopped after {self.live['steps'][-1]} of {self.live['total']} steps; the test set was not looked at."
            )
            self.live = self.live | {"status": "stopped", "message": done}
        else:
            said = f"Seed {seed}: {100 * row['test_accuracy']:.1f} % of the test images right, {row['seconds']:.1f} s."
            self.live = self.live | {"status": "done", "test": row["test_accuracy"], "message": said}

    def _show(self, run, history):
        """Show a point of the live curve; tell whether to end."""
        points = {"steps": list(history.steps), "accuracy": list(history.validation_accuracy), "total": run.steps}
        said = f"Step {history.steps[-1]} of {run.steps}: validation accuracy {history.validation_accuracy[-1]:.2f}."
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
        Name to values: numbers get a slider, words a list. Every combination is computed at once.
    x : sequence of float or str
        Places of the points of the lines, or names of the bars.
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
        If a frame does not fit `series` and `x`, or a start is not among the values.

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
        controls, series, x = {name: list(values) for name, values in controls.items()}, list(series), list(x)
        listed = [
            {"name": name, "values": values, "start": _place(name, values, (start or {}).get(name, values[0]))}
            for name, values in controls.items()
        ]
        frames = {}
        for places in itertools.product(*(range(len(values)) for values in controls.values())):
            given = {name: values[i] for i, (name, values) in zip(places, controls.items(), strict=True)}
            frames["|".join(map(str, places))] = _framed(frame(**given), given, len(series), len(x))
        shape = {"title": title, "kind": kind, "xlabel": xlabel, "ylabel": ylabel, "limits": [float(v) for v in limits]}
        super().__init__(content=shape | {"controls": listed, "series": series, "x": x, "frames": frames})

    def __repr__(self):
        return f"Movable({self.content['title']!r}, {len(self.content['frames'])} frames)"


def _place(name, values, value):
    if value not in values:
        raise WidgetError(f"{name} cannot start at {value!r}; its values are {', '.join(map(str, values))}.")
    return values.index(value)


def _framed(found, given, series, points):
    """Check a frame and round it."""
    if isinstance(found, str):
        return found
    values, told = found
    values = np.asarray(values, float)
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
        if chapter not in known:
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
    rate : float, optional

    Returns
    -------
    experiments.Run

    Raises
    ------
    WidgetError
        If nothing of that kind is offered, or it has no record that says how to train it.

    Notes
    -----
    Taught in: chapter 4.2 (The explorer).
    """
    rows = explorer.rows_for(records(), choice["pair"], _setting(choice), choice["labels"])
    if rows.empty:
        raise WidgetError("Nothing of this kind was recorded, so its learning rate is unknown. Choose another.")
    if not isinstance(seed, int) or not 0 <= seed < 2**31:
        raise WidgetError(f"A seed is a whole number from 0 on; found {seed!r}.")
    run = Run.of(rows.iloc[0])
    return replace(run, experiment="live", seed=seed, learning_rate=rate or run.learning_rate)


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
