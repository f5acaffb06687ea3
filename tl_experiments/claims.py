"""The hypotheses of the second plan, read from ``hypotheses.toml``: a paper's claim, and the contrast that tests it.

The file was committed before the first reported run, and the records carry its digest. Whatever had been seen before,
by which an expectation is not blind, stands in the field ``seen``.
Taught in: What the papers claim, and what shows here.
"""

import itertools
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from tl_experiments import fingerprints, replicates
from tl_experiments.names import ExperimentError

FILE = Path(__file__).parent / "hypotheses.toml"
# Of each experiment: labels per class, pairs, architectures, and its arms.
_BOTH, _CNN, _ALL = tuple(replicates.NETWORKS), replicates.CNN, replicates.LABELS["cnn"]
_ARMS = replicates.MAIN | replicates.TWO_RATES
REPORTED: Mapping[str, tuple[Sequence[int], Sequence[str], Sequence[str], Mapping[str, Any]]] = {
    "replicated": (_ALL, ("far", "near"), _BOTH, _ARMS),
    "replicated constrained": (replicates.HELD, ("far", "near"), _CNN, replicates.CONSTRAINED),
    "replicated sweep": (replicates.SWEPT, ("far", "near"), _CNN, replicates.SWEEP),
    "budget": ((100,), ("far", "near"), _CNN, _ARMS),
    "recipes": (replicates.SWEPT, ("far", "near"), _CNN, replicates.VARIED),
    "noise again": (replicates.FEW, ("far",), _CNN, _ARMS),
    "shifts again": (replicates.SWEPT, ("far",), _CNN, _ARMS),
    "siblings": (replicates.SWEPT, ("far",), _CNN, _ARMS),
    "scores": ((20,), ("far", "near"), _BOTH, _ARMS),
}
SCORES = ("logme", "leep", "source accuracy")
EXPECTED = ("ahead", "behind", "alike", "open")


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One hypothesis: a paper's claim as one contrast.

    Attributes
    ----------
    key : str
        Its short name.
    paper : str
        Key in ``references.bib``; empty where advice has no single source.
    claim, differs : str
        What the paper found; how the test differs from what the paper did.
    experiments : tuple of str
        Where its rows are; a training and a draw count where all arms have them.
    ahead, behind : tuple of str
        Arms: the difference is (ahead - behind), averaged over them, and positive where the paper is right.
    what, against : tuple of str
        What is compared where it is not test accuracy: a path in the rows' measures, such as ``"shifts/rotated"``;
        ``against`` is that of the arms behind, by default the same.
    pairs, networks : tuple of str
    labels : tuple of int
        Per class. Of them an architecture has those of `replicates.LABELS`.
    steps, minus_steps : int
        Where the steps of training are what is compared: those of the rows; those at which the same difference is
        subtracted. 0 stands for none.
    score : str
        Of `SCORES`, for a claim about ranks: Kendall's τ of the score and the test accuracy of the arms ahead.
    expected : {"ahead", "behind", "alike", "open"}
        What we expect here.
    margin : float
        What counts as little, in `unit`.
    unit : {"points", "", "τ"}
    family : {"papers", "recipes"}
        The hypotheses among which Holm's procedure counts it.
    seen : str
        What had been seen before the expectation was written.
    """

    key: str
    paper: str
    claim: str
    differs: str
    experiments: tuple[str, ...]
    ahead: tuple[str, ...]
    behind: tuple[str, ...] = ()
    what: tuple[str, ...] = ("",)
    against: tuple[str, ...] = ()
    pairs: tuple[str, ...] = ("far", "near")
    networks: tuple[str, ...] = ("cnn", "residual")
    labels: tuple[int, ...] = replicates.LABELS["cnn"]
    steps: int = 0
    minus_steps: int = 0
    score: str = ""
    expected: str
    margin: float
    unit: str = "points"
    family: str = "papers"
    seen: str

    @property
    def terms(self) -> list[tuple[str, str, str, str]]:
        """The differences that are averaged: arm ahead, arm behind, what of the one, what of the other."""
        sides = self.ahead, self.behind, self.what, self.against or self.what
        count = max(map(len, sides))
        return list(zip(*(side * count if len(side) == 1 else side for side in sides), strict=True))


def digest(path: Path = FILE) -> str:
    """Return the digest of the file that the records keep as the fingerprint of their plan."""
    return fingerprints.of_file(path)


def load(path: Path = FILE) -> tuple[Claim, ...]:
    """Read the hypotheses.

    Parameters
    ----------
    path : Path
        By default the file that ships.

    Returns
    -------
    tuple of Claim

    Raises
    ------
    ExperimentError
        If the file is no TOML, or an entry has a field, arm, pair, architecture or number of labels that its experiment
        does not have; the message says which and what there is.

    Notes
    -----
    Taught in: What the papers claim, and what shows here.
    """
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8"))["hypothesis"]
    except (tomllib.TOMLDecodeError, KeyError) as error:
        raise ExperimentError(f"{path}: expected tables named [[hypothesis]] in TOML; found: {error}.") from error
    found = tuple(_claim(entry, f"{path.name}, hypothesis {number}") for number, entry in enumerate(entries, 1))
    keys = [claim.key for claim in found]
    if twice := [key for key in keys if keys.count(key) > 1]:
        raise ExperimentError(f"{path.name}: two hypotheses are called {twice[0]!r}. Give each a key of its own.")
    return found


def _claim(entry: Mapping[str, Any], where: str) -> Claim:
    """Check an entry and make it one."""
    known = {field.name: field for field in fields(Claim)}
    needed = [name for name, field in known.items() if name in ("key", "paper", "claim", "differs", "seen")]
    needed += ["experiments", "ahead", "expected", "margin"]
    where = f"{where} ({entry.get('key', 'without a key')})"
    if lacks := [name for name in needed if name not in entry]:
        raise ExperimentError(f"{where} lacks the field {lacks[0]!r}. Every hypothesis has {', '.join(needed)}.")
    _one_of("field", entry, known, where)
    values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in entry.items()}
    for name, field in known.items():
        if "tuple" in str(field.type) and not isinstance(values.get(name, ()), tuple):
            raise ExperimentError(f"{where}: {name} is a list, found {values[name]!r}. Write [{values[name]!r}].")
    claim = Claim(**values)
    _one_of("experiment", claim.experiments, REPORTED, where)
    arms = dict(itertools.chain(*(REPORTED[name][3].items() for name in claim.experiments)))
    _one_of("arm", claim.ahead + claim.behind, arms, where)
    for name in claim.ahead + claim.behind:
        if sum(name in REPORTED[experiment][3] for experiment in claim.experiments) > 1:
            raise ExperimentError(f"{where}: {name!r} is in several of {claim.experiments}. Name one of them.")
    for role, place, found in (("number of labels", 0, claim.labels), ("pair", 1, claim.pairs)):
        for name in claim.experiments:
            _one_of(role, found, REPORTED[name][place], where)
    for name in claim.experiments:
        _one_of("architecture", claim.networks, REPORTED[name][2], where)
    for network in claim.networks:
        if not set(claim.labels) & set(replicates.LABELS[network]):
            raise ExperimentError(
                f"{where}: the architecture {network!r} has runs at {replicates.LABELS[network]} labels, none of "
                f"{claim.labels}. Leave it out of networks."
            )
    _one_of("expectation", (claim.expected,), EXPECTED, where)
    _one_of("family", (claim.family,), ("papers", "recipes"), where)
    _one_of("score", (claim.score,), ("", *SCORES), where)
    if not claim.score and not claim.behind:
        raise ExperimentError(f"{where} compares with nothing. Name arms in behind, or a score to rank by.")
    if isinstance(claim.margin, bool) or not isinstance(claim.margin, (int, float)) or claim.margin <= 0:
        raise ExperimentError(f"{where}: margin is a number above 0, what counts as little; found {claim.margin!r}.")
    lengths = {len(side) for side in (claim.ahead, claim.behind, claim.what, claim.against) if len(side) > 1}
    if len(lengths) > 1:
        raise ExperimentError(f"{where}: ahead, behind, what and against are as many as the longest, or one each.")
    return claim


def _one_of(role: str, values: Any, known: Any, where: str) -> None:
    """Refuse what is not known."""
    for value in values:
        if value not in known:
            raise ExperimentError(f"{where}: unknown {role} {value!r}. Choose of {', '.join(map(repr, known))}.")
