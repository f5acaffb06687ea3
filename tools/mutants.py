"""Try the assertions of the pages: perturb what was measured, and list the claims that do not notice.

    python tools/mutants.py [PAGES]    try them (all pages of the book without PAGES); exit status 1 if a claim sleeps
    python tools/mutants.py --again    forget what earlier calls found
    python tools/mutants.py --table    show what earlier calls found, and try nothing

A claim is one comparison of an assertion: `assert a < b < c and d` makes three. Each page runs once, in a process of
its own. Then the recorded runs are perturbed, and so is what the page has trained itself, where it keeps scores by
name (`perturbed`). What the claims need is computed again, training left out. A claim

- *notices* if a perturbation turns it false;
- sees *means only* if it notices that one arm has the scores of the other, and a small lag behind them, but not a small
  lead that the seeds do not tell from none: it compares means where an interval is due;
- *sleeps* if what it compares changes, or was trained, and nothing turns it false;
- is *about no score* if nothing was trained for it and no perturbation reaches it.

`mutants.toml` names those that may sleep or see means only, each with its reason; the tool fails on all others. What
was found is kept in `_build/mutants`, claim by claim: an interrupted call goes on, and a changed page begins anew.
"""

import argparse
import ast
import contextlib
import functools
import hashlib
import inspect
import io
import itertools
import json
import os
import pickle
import subprocess
import symtable
import sys
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import perturbed
from notebooks import ROOT, chapters, read
from perturbed import Perturbation

from tl_base import files
from tl_helpers import records

FOUND = ROOT / "_build" / "mutants"
ALLOWED = ROOT / "tools" / "mutants.toml"
NOTICES, MEANS, SLEEPS, UNREACHED = "notices", "means only", "sleeps", "about no score"
COLUMNS = (NOTICES, MEANS, SLEEPS, UNREACHED, "listed")
RESAMPLES = 100  # of rank correlations, the slowest thing on the pages
MOST = 40  # perturbations of pairs that one claim is tried with
HOLD = "_claim_"  # what stands in the place of an assertion
# Methods that change what they are called on.
CHANGES = {"append", "extend", "update", "add", "insert", "setdefault", "pop", "compile", "fit", "set_weights"}
PACKAGES = ("tl_base", "tl_helpers", "tl_experiments")
Outcome = tuple[
    bool | None, str
]  # whether a claim holds (None: it could not be asked), and what it compares, as a digest


@dataclass(frozen=True)
class Claim:
    """One comparison of an assertion: its cell, its number among the claims of the page, and its text."""

    cell: str
    number: int
    text: str


@dataclass
class Unit:
    """A statement of a page that is run as a whole: its code, the names that it reads and binds, its claims."""

    code: Any
    reads: set[str]
    binds: set[str]
    anew: set[str]
    claims: list[Claim]
    trains: bool = False


def parts_of(test: ast.expr) -> Iterator[ast.expr]:
    """Split the condition of an assertion into its claims: what `and` joins, and the links of a chain."""
    if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And):
        for value in test.values:
            yield from parts_of(value)
    elif isinstance(test, ast.Compare) and len(test.ops) > 1:
        sides = [test.left, *test.comparators]
        for op, left, right in zip(test.ops, sides[:-1], sides[1:], strict=True):
            yield ast.Compare(left, [op], [right])
    else:
        yield test


def sides_of(part: ast.expr) -> list[ast.expr]:
    """Return the values that a claim compares: a change of theirs tells that a perturbation has reached it."""
    match part:
        case ast.Compare():
            return [part.left, *part.comparators]
        case ast.UnaryOp(op=ast.Not()):
            return sides_of(part.operand)
        case ast.Call(func=ast.Attribute(attr="all" | "any")) if not part.args:
            return sides_of(part.func.value)
        case ast.Call(func=ast.Name("all" | "any"), args=[ast.GeneratorExp() as each]):
            return [ast.ListComp(ast.Tuple(sides_of(each.elt), ast.Load()), each.generators)]
        case ast.Call(args=[_, *_]):
            return part.args
    return [part]


class _Instead(ast.NodeTransformer):
    """Puts a call in the place of each assertion; it is told whether the claim holds, and what it compares."""

    def __init__(self, cell: str, first: int) -> None:
        self.cell, self.number, self.claims = cell, first, list[Claim]()

    def visit_Assert(self, node: ast.Assert) -> list[ast.stmt]:
        calls = []
        for part in parts_of(node.test):
            self.claims.append(Claim(self.cell, self.number, ast.unparse(part)))
            seen = "".join(f"{ast.unparse(side)}, " for side in sides_of(part))
            calls += ast.parse(f"{HOLD}({self.number}, lambda: ({ast.unparse(part)}), lambda: ({seen}))").body
            self.number += 1
        return calls


def _names(statement: ast.stmt) -> tuple[set[str], set[str], set[str]]:
    """Return the global names that a statement reads, those that it binds or changes, and those that it binds anew."""
    top = symtable.symtable(ast.unparse(statement), "page", "exec")
    reads = {one.get_name() for one in top.get_symbols() if one.is_referenced()}
    binds = {one.get_name() for one in top.get_symbols() if one.is_assigned() or one.is_imported()}
    inner = list(top.get_children())
    while inner:
        scope = inner.pop()
        inner += scope.get_children()
        reads |= {one.get_name() for one in scope.get_symbols() if one.is_global() and one.is_referenced()}
    anew = set(binds) if isinstance(statement, ast.Assign | ast.FunctionDef | ast.Import | ast.ImportFrom) else set()
    for node in ast.walk(statement):
        changed = None
        if isinstance(node, ast.Subscript | ast.Attribute) and not isinstance(node.ctx, ast.Load):
            changed = node.value
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CHANGES:
            changed = node.func.value
        while isinstance(changed, ast.Subscript | ast.Attribute):
            changed = changed.value
        if isinstance(changed, ast.Name):
            binds.add(changed.id)
    return reads, binds, anew


def units_of(path: Path) -> list[Unit]:
    """Return the statements of a page's code cells, in order."""
    units: list[Unit] = []
    functions: dict[str, set[str]] = {}
    count = 0
    for cell in read(path).cells:
        if cell.cell_type != "code" or "remove-cell" in cell.metadata.get("tags", []):
            continue
        for statement in ast.parse(cell.source).body:
            reads, binds, anew = _names(statement)
            functions = {name: seen for name, seen in functions.items() if name not in anew}
            if isinstance(statement, ast.FunctionDef):
                functions[statement.name] = reads
            while more := set().union(*(functions[name] for name in reads & set(functions))) - reads:
                reads |= more  # what a function reads is what it is when it is called
            instead = _Instead(cell.id, count)
            changed = instead.visit(statement)
            body = changed if isinstance(changed, list) else [changed]
            code = compile(ast.fix_missing_locations(ast.Module(body, [])), f"{path.stem}:{cell.id}", "exec")
            units.append(Unit(code, reads, binds, anew, instead.claims))
            count = instead.number
    return units


def needed(units: Sequence[Unit], claims: set[int]) -> list[int]:
    """Return the numbers of the statements without which these claims could not be computed, in order."""
    wanted: set[str] = set()
    kept = []
    for number in reversed(range(len(units))):
        unit = units[number]
        if unit.binds & wanted or any(claim.number in claims for claim in unit.claims):
            kept.append(number)
            wanted = (wanted - unit.anew) | unit.reads
    return kept[::-1]


def _print(value: Any) -> str:
    """Return what tells two values apart; nothing for what has no content of its own, such as a function."""
    try:
        return hashlib.sha256(pickle.dumps(value)).hexdigest()
    except Exception:  # a network, a function of the page: what cannot be pickled is told by its type
        return type(value).__name__


def _everywhere(old: Any, new: Any) -> None:
    """Put one object in the place of another in all modules of the packages, and in Keras's class of networks."""
    ours = [module for name, module in list(sys.modules.items()) if name.split(".")[0] in PACKAGES]
    keras = sys.modules.get("keras")
    for owner in (*ours, *([keras.Model] if keras else [])):
        for key, value in list(vars(owner).items()):
            if value is old:
                setattr(owner, key, new)


def _remembered(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that computes what it gives for some arguments once, and resamples less often."""
    kept: dict[bytes, Any] = {}
    resamples = "draws" in inspect.signature(function).parameters

    @functools.wraps(function)
    def remembered(*args: Any, **kwargs: Any) -> Any:
        kwargs = {"draws": RESAMPLES} | kwargs if resamples else kwargs
        key = pickle.dumps((args, kwargs))
        if key not in kept:
            kept[key] = function(*args, **kwargs)
        return kept[key]

    return remembered


@dataclass
class Page:
    """A page that has run once, and can be run again with other records.

    Attributes
    ----------
    path : Path
    units : list of Unit
    names, after : dict
        What its code sees as global names; and what they were after the first run.
    outcomes : dict of int to list
        Claim to what came of it, once for each time that it was asked.
    fits : int
        Trainings so far.
    """

    path: Path
    table: pd.DataFrame
    units: list[Unit] = field(default_factory=list)
    names: dict[str, Any] = field(default_factory=dict)
    outcomes: dict[int, list[Outcome]] = field(default_factory=dict)
    after: dict[str, Any] = field(default_factory=dict)
    fits: int = 0
    watched: set[Any] = field(default_factory=set)
    replaced: list[tuple[Any, Any]] = field(default_factory=list)

    def __enter__(self) -> "Page":
        self.units = units_of(self.path)
        load = records.load
        self._replace(load, lambda path=None: self.table.copy() if path is None else load(path))
        return self

    def __exit__(self, *problem: object) -> None:
        for old, new in reversed(self.replaced):
            _everywhere(new, old)  # in modules too that were loaded since

    def _replace(self, old: Any, new: Any) -> None:
        self.replaced.append((old, new))
        _everywhere(old, new)

    def _hold(self, number: int, test: Callable[[], Any], sides: Callable[[], tuple[Any, ...]]) -> None:
        try:
            holds = bool(test())
        except Exception:  # the claim cannot be asked: it has not noticed, it has not held either
            self.outcomes.setdefault(number, []).append((None, "cannot be asked"))
            return
        self.outcomes.setdefault(number, []).append((holds, " ".join(map(_print, sides()))))

    @property
    def claims(self) -> list[Claim]:
        """The claims of the page, in order."""
        return [claim for unit in self.units for claim in unit.claims]

    def first(self, claims: set[int]) -> dict[int, list[Outcome]]:
        """Run the page as far as these claims need it, training too."""
        self.names |= {"__name__": "__main__", HOLD: self._hold}
        self.outcomes = {}
        for number in needed(self.units, claims):
            self._watch()
            before = self.fits
            with contextlib.redirect_stdout(io.StringIO()):
                exec(self.units[number].code, self.names)  # the page is ours
            self.units[number].trains = self.fits > before
        self.after = dict(self.names)
        return self.outcomes

    def _watch(self) -> None:
        """Count trainings, and remember what is slow, from the moment on at which their modules are loaded."""
        loaded = [sys.modules.get(f"tl_helpers.{name}") for name in ("training", "measures", "data")]
        keras = sys.modules.get("keras")
        slow = [
            getattr(module, name, None) for module, name in zip(loaded[1:], ("kendall_interval", "load"), strict=True)
        ]
        trains = [getattr(loaded[0], "fit", None), keras and keras.Model.fit]
        for function in {*slow, *trains} - self.watched - {None}:
            new = _remembered(function) if function in slow else self._counted(function)
            self._replace(function, new)
            self.watched |= {function, new}

    def _counted(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def counted(*args: Any, **kwargs: Any) -> Any:
            self.fits += 1
            return function(*args, **kwargs)

        return counted

    def again(self, change: Perturbation, claims: set[int]) -> dict[int, list[Outcome]]:
        """Compute some claims again under a perturbation; a statement that fails leaves its claims without outcome."""
        whole, self.table = self.table, change.of_table(self.table)
        self.outcomes = {}
        self.names.clear()
        self.names.update(self.after)
        try:
            for number in needed(self.units, claims):
                unit = self.units[number]
                if unit.trains:
                    for name in unit.binds & {change.name}:
                        self.names[name] = change.of_value(self.after[name])
                    continue
                with contextlib.redirect_stdout(io.StringIO()):
                    exec(unit.code, self.names)
        except Exception as error:
            self.broken = f"{type(error).__name__}: {error}"
        finally:
            self.table = whole
        return self.outcomes

    def trained(self, claims: set[int]) -> list[str]:
        """Return the names of what training has left for some claims, in a form that can be perturbed."""
        found = {
            name
            for number in needed(self.units, claims)
            if self.units[number].trains
            for name in self.units[number].binds
        }
        return sorted(name for name in found if perturbed.keeps_scores(self.after.get(name)))


class Trial:
    """Tries all claims of a page, and keeps what it finds."""

    def __init__(self, page: Page, keep: Path, digest: str, tell: Callable[[str], None]) -> None:
        self.page, self.keep, self.digest, self.tell = page, keep, digest, tell
        kept = json.loads(keep.read_text(encoding="utf-8")) if keep.is_file() else {}
        same = kept.get("digest") == digest
        self.found: dict[str, dict[str, Any]] = kept["claims"] if same else {}
        self.tries = 0

    def run(self) -> None:
        """Try what is not settled yet."""
        page = self.page
        if len(self.found) == len(page.claims) and self.found:
            return
        start = time.perf_counter()
        open_claims = [claim for claim in page.claims if str(claim.number) not in self.found]
        self.base = page.first({claim.number for claim in open_claims})
        self.tell(f"ran once, in {time.perf_counter() - start:.0f} s")
        if false := [c for c in open_claims if not all(holds for holds, _ in self.base.get(c.number, [(None, "")]))]:
            raise SystemExit(f"{page.path.stem}: false as it stands, or never asked: {false[0].cell}: {false[0].text}")
        for cell, group in itertools.groupby(open_claims, key=lambda claim: claim.cell):
            claims = list(group)
            reached = self._reached({claim.number for claim in claims})
            for claim in claims:
                self._settle(claim, reached[claim.number])
            self._save()
            verdicts = ", ".join(str(self.found[str(claim.number)]["verdict"]) for claim in claims)
            self.tell(f"{cell}: {verdicts} ({self.tries} perturbations, {time.perf_counter() - start:.0f} s)")

    def _try(self, change: Perturbation, claims: set[int]) -> tuple[set[int], set[int]]:
        """Return the claims that a perturbation reaches, and those that it turns false."""
        self.tries += 1
        now = self.page.again(change, claims)
        reached = {n for n in claims if n in now and [p for _, p in now[n]] != [p for _, p in self.base[n]]}
        return reached, {n for n in claims if any(holds is False for holds, _ in now.get(n, []))}

    def _reached(self, claims: set[int]) -> dict[int, list[tuple[str, list[str]]]]:
        """Find for each claim where the scores that it rests on stand: experiments with arms, and trained names."""
        table = self.page.table
        arms = {name: list(rows.arm.unique()) for name, rows in table.groupby("experiment", sort=False)}
        rests = self._halved([(name, arm) for name in arms for arm in arms[name]], claims)
        places = {
            number: [(name, [arm for of, arm in found if of == name]) for name in dict.fromkeys(of for of, _ in found)]
            for number, found in rests.items()
        }
        for name in self.page.trained(claims):
            for number in self._try(perturbed.shaken_value(name), claims)[0]:
                places[number].append((name, []))
        return places

    def _halved(self, arms: list[tuple[str, str]], claims: set[int]) -> dict[int, list[tuple[str, str]]]:
        """Find the arms that each claim rests on: of those that reach none, half are not looked at one by one."""
        rests = self._try(perturbed.shaken(arms), claims)[0]
        found: dict[int, list[tuple[str, str]]] = {number: [] for number in claims}
        if len(arms) == 1:
            return found | dict.fromkeys(rests, arms)
        if rests:
            experiments = list(dict.fromkeys(name for name, _ in arms))
            first = experiments[: len(experiments) // 2]  # whole experiments first, then their arms
            halves = [[one for one in arms if (one[0] in first) == side] for side in (True, False)] if first else []
            for half in halves or (arms[: len(arms) // 2], arms[len(arms) // 2 :]):
                for number, places in self._halved(half, rests).items():
                    found[number] += places
        return found

    def _settle(self, claim: Claim, places: list[tuple[str, list[str]]]) -> None:
        """Perturb what a claim rests on until it has noticed, or nothing is left to try."""
        trains = any(self.page.units[n].trains for n in needed(self.page.units, {claim.number}))
        verdict, by = SLEEPS if places or trains else UNREACHED, ""
        for change, blurs in itertools.islice(self._changes(places), MOST):
            if self._false(change, claim):
                one_sided = sum(self._false(blur, claim) for blur in blurs) == 1
                verdict, by = MEANS if one_sided else NOTICES, str(change)
                break
        facts = {"cell": claim.cell, "text": claim.text, "verdict": verdict, "by": by}
        self.found[str(claim.number)] = facts | {"rests on": [name for name, _ in places]}

    def _false(self, change: Perturbation, claim: Claim) -> bool:
        return claim.number in self._try(change, {claim.number})[1]

    def _changes(self, places: list[tuple[str, list[str]]]) -> Iterator[tuple[Perturbation, list[Perturbation]]]:
        """Yield perturbations, those that shrink a gain to zero first, each with what blurs the same gain."""
        table = self.page.table
        for name, arms in places:
            if (table.experiment == name).any():
                for a, b in itertools.permutations(arms, 2):
                    yield perturbed.given(name, a, b), [perturbed.blurred(name, a, b, sign) for sign in (1, -1)]
            else:
                yield from perturbed.of_names(name, self.page.after[name])
        for name, arms in places:
            if (table.experiment == name).any():
                for arm in arms:
                    yield from ((perturbed.moved(name, arm, points), []) for points in (-10, 10))
                sources = sorted(table[(table.experiment == name) & table.arm.isin(arms)].source.unique())
                for pair in itertools.combinations(sources, 2):
                    yield perturbed.sources_swapped(name, *pair), []
                for a, b in itertools.combinations(arms, 2):
                    yield perturbed.swapped(name, a, b), []

    def _save(self) -> None:
        self.keep.parent.mkdir(parents=True, exist_ok=True)
        files.write(self.keep, json.dumps({"digest": self.digest, "claims": self.found}, indent=1, ensure_ascii=False))


def digest_of(page: Path) -> str:
    """Return what the findings of a page depend on: its code, the records, the packages, this tool."""
    code = [cell.source for cell in read(page).cells if cell.cell_type == "code"]
    parts = ["\n".join(code).encode(), pickle.dumps(sorted(records.load().key))]
    parts += [
        path.read_bytes() for path in sorted((ROOT / "tools").glob("*.py")) if path.stem in ("mutants", "perturbed")
    ]
    parts += [path.read_bytes() for package in PACKAGES for path in sorted((ROOT / package).glob("*.py"))]
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()


def try_page(path: Path) -> None:
    """Try the claims of one page in this process."""
    os.environ.setdefault("TQDM_DISABLE", "1")
    import matplotlib

    matplotlib.use("Agg")
    keep = FOUND / f"{path.stem}.json"
    with contextlib.chdir(path.parent):
        digest = digest_of(path)
        with Page(path, records.load()) as page:
            Trial(page, keep, digest, lambda words: print(f"  {words}", flush=True)).run()


def allowed(path: Path = ALLOWED) -> list[dict[str, str]]:
    """Return the claims that may stay green: page, cell, reason, and the claim's text where it is one of several."""
    return tomllib.loads(path.read_text(encoding="utf-8")).get("green", [])


def is_allowed(page: str, claim: Mapping[str, Any], green: Sequence[Mapping[str, str]]) -> bool:
    """Tell whether the list names a claim."""
    return any(
        one["page"] == page and one["cell"] == claim["cell"] and one.get("claim", claim["text"]) == claim["text"]
        for one in green
    )


def report(pages: Sequence[Path]) -> list[str]:
    """Print what was found, and return the claims that sleep or see means only without being allowed to."""
    green, bad = allowed(), []
    print(
        f"\n{'page':<24}{'claims':>8}"
        + "".join(f"{name:>16}" for name in (NOTICES, MEANS, SLEEPS, UNREACHED, "listed"))
    )
    for path in pages:
        keep = FOUND / f"{path.stem}.json"
        if not keep.is_file():
            print(f"{path.stem:<24}{'not tried':>8}")
            continue
        claims = list(json.loads(keep.read_text(encoding="utf-8"))["claims"].values())
        quiet = [claim for claim in claims if claim["verdict"] in (MEANS, SLEEPS)]
        listed = [claim for claim in quiet if is_allowed(path.stem, claim, green)]
        counts = [sum(claim["verdict"] == name for claim in claims) for name in (NOTICES, MEANS, SLEEPS, UNREACHED)]
        print(f"{path.stem:<24}{len(claims):>8}" + "".join(f"{count:>16}" for count in [*counts, len(listed)]))
        bad += [f"{path.stem}, {c['cell']}: {c['verdict']}: {c['text']}" for c in quiet if c not in listed]
    return bad


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pages", nargs="*", help="such as 04_1_results")
    parser.add_argument("--again", action="store_true", help="forget what was found")
    parser.add_argument("--table", action="store_true", help="show what was found, try nothing")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)  # one page, in this process
    options = parser.parse_args()
    known = {path.stem: path for path in chapters()}
    if unknown := [name for name in options.pages if name not in known]:
        parser.error(f"no page {unknown[0]!r}. There are {', '.join(known)}.")
    pages = [known[name] for name in options.pages] or list(known.values())
    if options.here:
        return try_page(pages[0])
    failed = []
    for number, path in enumerate(pages, 1):
        if options.again:
            (FOUND / f"{path.stem}.json").unlink(missing_ok=True)
        if not options.table:
            print(f"{path.stem} ({number} of {len(pages)})", flush=True)
            if subprocess.run([sys.executable, __file__, "--here", path.stem], check=False).returncode:
                failed.append(f"{path.stem}: could not be tried; what it said stands above")
    bad = report(pages) + failed
    sys.exit(
        "\nThese claims do not notice, and tools/mutants.toml does not name them:\n" + "\n".join(bad) if bad else None
    )


if __name__ == "__main__":
    main()
