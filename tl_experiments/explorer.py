"""The explorer: recorded runs everywhere, live training where there is a kernel.

Taught in: chapter 4.2 (The explorer).
"""

import threading
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import traitlets

from tl_base.pages import Page, WidgetError, plain
from tl_experiments import choices, evidence
from tl_experiments.grid import Run
from tl_helpers import records
from tl_helpers.widgets import FRONT, page_looks

if TYPE_CHECKING:
    from tl_helpers.training import History  # loads TensorFlow, as workbench does

IDLE = {"status": "idle", "message": "Train runs this choice in the kernel, as the records were made.", "steps": []}
DRAWN = ("A", "from scratch", "random, frozen", "live")  # what its figures show besides the arm that is chosen
Told = dict[str, Any]


class Explorer(Page, program=FRONT / "explorer.js"):
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
        As `choices.payload` returns it; by default made of the records that ship.

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
    payload = traitlets.Dict().tag(sync=True)
    choice = traitlets.Dict().tag(sync=True)
    live = traitlets.Dict().tag(sync=True)

    def __init__(
        self, pair: str = "far", labels: int = 5, method: str = "plain", states: str = "FFR", shown: Told | None = None
    ) -> None:
        choice = _choice({"pair": pair, "labels": labels, "method": method, "states": states})
        shown = choices.payload() if shown is None else shown
        names = dict.fromkeys([*DRAWN, *(setting["arm"] for setting in shown["settings"])])
        super().__init__(payload=shown | {"looks": page_looks(names)}, choice=choice, live=IDLE | {"choice": None})
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.on_msg(self._heard)

    @traitlets.validate("choice")
    def _offered(self, proposal: Told) -> Told:
        return _choice(proposal["value"])

    def __repr__(self) -> str:
        return f"Explorer({', '.join(f'{name}={value!r}' for name, value in self.choice.items())})"

    def _heard(self, _: object, message: Told, __: object) -> None:
        self.send({"heard": message.get("do")})  # the page waits for this: a restarted kernel would stay silent
        if message.get("do") == "stop":
            self._stop.set()
        elif message.get("do") == "train":
            self.train(message["seed"], message["rate"], {name: message[name] for name in self.choice})

    def train(self, seed: int = 0, rate: float | None = None, choice: Told | None = None) -> bool:
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

    def stop(self) -> None:
        """End the training after the point that it is at; what was reached stays shown."""
        self._stop.set()

    def _train(self, choice: Told, seed: int, rate: float | None) -> None:
        try:
            run = run_of(choice, seed, rate)
            self.live = self.live | {"seed": run.seed, "rate": run.learning_rate, "code": run.code()}
            from tl_experiments import workbench

            row = workbench.live(run, lambda history: self._show(run, history))
        except Exception as error:
            self.live = self.live | {"status": "error", "message": f"It could not be trained. {error}"}
            return
        if row["test_accuracy"] is None:
            reached = f"stopped after {self.live['steps'][-1]} of {self.live['total']} steps"
            said = f"{_which(run)}: {reached}; the test set was not looked at."
            self.live = self.live | {"status": "stopped", "message": said}
        else:
            right = f"{100 * row['test_accuracy']:.1f} % of the test images right"
            said = f"{_which(run)}: {right}, {row['seconds']:.1f} s."
            self.live = self.live | {"status": "done", "test": row["test_accuracy"], "message": said}

    def _show(self, run: Run, history: "History") -> bool:
        """Show a point of the live curve; tell whether to end."""
        points = {"steps": list(history.steps), "accuracy": list(history.validation_accuracy), "total": run.steps}
        reached = f"step {history.steps[-1]} of {run.steps}, validation accuracy {history.validation_accuracy[-1]:.2f}"
        said = f"{_which(run)}: {reached}."
        self.live = self.live | points | {"status": "training", "test": None, "message": said}
        return self._stop.is_set()


def run_of(choice: Told, seed: int = 0, rate: float | None = None) -> Run:
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
    rows = choices.rows_for(records.load(), choice["pair"], _setting(choice), choice["labels"])
    if rows.empty:
        raise WidgetError("Nothing of this kind was recorded, so its learning rate is unknown. Choose another.")
    run = Run.of(rows.iloc[0])
    seed, rate = plain(seed, "seed"), plain(run.learning_rate if rate is None else rate, "rate")
    if type(seed) is not int or not 0 <= seed < 2**31:
        raise WidgetError(f"A seed is a whole number from 0 to {2**31 - 1:,}; found {seed!r}.")
    if type(rate) not in (int, float) or rate <= 0:
        raise WidgetError(f"A learning rate is a number above 0; found {rate!r}. Leave it out for the recorded one.")
    return replace(run, experiment="live", seed=seed, learning_rate=float(rate))


def _which(run: Run) -> str:
    return f"Seed {run.seed}, learning rate {run.learning_rate:g}"


def _choice(choice: Any) -> Told:
    """Return a choice with Python's own numbers and words, if it is offered."""
    names = ("pair", "labels", "method", "states")
    choice = plain(choice, "choice")
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


def _setting(choice: Told) -> choices.Setting:
    """Return the setting that a choice names."""
    if choice["pair"] not in choices.PAIRS or choice["labels"] not in evidence.EXPLORED:
        pairs, labels = ", ".join(choices.PAIRS), ", ".join(map(str, evidence.EXPLORED))
        found = f"{choice['pair']!r}, {choice['labels']!r}"
        raise WidgetError(f"Pairs are {pairs}; labels per class {labels}. Found {found}.")
    offered = choices.offered(choice["pair"])
    for setting in offered:
        if (setting.method, setting.states) == (choice["method"], choice["states"]):
            return setting
    known = "; ".join(f"{method} with {', '.join(states)}" for method, states in _states_by_method(offered).items())
    raise WidgetError(f"There is no {choice['method']!r} with {choice['states']!r}. Offered: {known}.")


def _states_by_method(offered: Iterable[choices.Setting]) -> dict[str, list[str]]:
    states: dict[str, list[str]] = {}
    for setting in offered:
        states.setdefault(setting.method, []).append(setting.states)
    return states
