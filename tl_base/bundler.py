"""Programs for pages: a JavaScript module and all that it imports, in one text.

A page that is opened as a file may not load other files, and anywidget takes one text. So each module becomes a
function that returns its exports; those that others need come first.
"""

import json
import re
from pathlib import Path

# Lines with a comment and nothing else: a reader of the page has them in the repository.
_COMMENT = re.compile(r"^[ \t]*(?://.*|/\*\*(?:[^*]|\*(?!/))*\*/[ \t]*)\n", re.M)
_IMPORT = re.compile(r'^import \{([^}]*)\} from "\./([^"/]+)";$', re.M)
_EXPORT = re.compile(r"^export (?=(?:async )?function (\w+)|class (\w+)|const (\w+) =)", re.M)
_DEFAULT = re.compile(r"^export default (?!async |class|function)", re.M)
_AWAIT = r"(?:\S.*= |for )?await\b"  # outside of functions
_ANYWHERE = r"(?!\s*(?://|/?\*)).*\bimport(?:\(|\.meta)"  # but in comments, where types are imported so
_REFUSED = re.compile(rf"^(?:(?:import|export)\b|{_AWAIT}|{_ANYWHERE}).*", re.M)


class ModuleError(ValueError):
    """A module cannot be put on a page. The message says which, and why."""


def bundle(entry: Path, use: str = "export default entry.default;") -> str:
    """Write a module and all that it imports as one program that loads nothing.

    Parameters
    ----------
    entry : pathlib.Path
        The module to begin with. What it imports stands beside it.
    use : str
        What to do then; the exports of the module are in ``entry``.

    Returns
    -------
    str
        Each module in a scope of its own, so that two may use the same names inside; without lines that hold nothing
        but a comment.

    Raises
    ------
    ModuleError
        If a module is missing, modules import each other in a circle, one imports what another does not export, or
        one uses another form than ``import { a, b as c } from "./file.js";``, ``export`` before a function, a class or
        a constant, and ``export default`` before an object or name. A line that begins with ``import`` or ``export``
        is read as such even in a text of several lines, and so is one that begins with ``//``.

    Notes
    -----
    Taught in: no chapter (a tool for adding a widget).
    """
    texts: dict[str, str] = {}
    exported: dict[str, set[str]] = {}
    _add(entry.parent, (entry.name,), texts, exported)
    named = f"const entry = modules[{json.dumps(entry.name)}];"
    return "\n".join(['"use strict";', "const modules = {};", *texts.values(), named, use])


def _add(folder: Path, path: tuple[str, ...], texts: dict[str, str], exported: dict[str, set[str]]) -> None:
    """Add the last module of `path`, behind those that it imports; the others on the path import one another."""
    name = path[-1]
    if not (folder / name).is_file():
        raise ModuleError(f"There is no module {name}, which {path[-2] if path[1:] else 'a widget'} asks for.")
    text = _COMMENT.sub("", (folder / name).read_text(encoding="utf-8"))
    for names, other in _IMPORT.findall(text):
        if other in path:
            raise ModuleError(f"Modules import each other in a circle: {' → '.join([*path, other])}.")
        if other not in texts:
            _add(folder, (*path, other), texts, exported)
        if unknown := {each.split(" as ")[0].strip() for each in names.split(",")} - exported[other] - {""}:
            raise ModuleError(f"{name} imports {', '.join(sorted(unknown))} from {other}, which does not export it.")
    returned = [first or second or third for first, second, third in _EXPORT.findall(text)]
    exported[name] = set(returned)
    body, defaults = _DEFAULT.subn("const exportedDefault = ", _EXPORT.sub("", text))
    body = _IMPORT.sub(_looked_up, body)
    if refused := _REFUSED.search(body):
        raise ModuleError(f"{name} has a line that cannot be put on a page: {refused[0].strip()[:80]}")
    listed = ", ".join([*returned, *["default: exportedDefault"] * defaults])
    texts[name] = f"modules[{json.dumps(name)}] = (() => {{\n{body}\nreturn {{ {listed} }};\n}})();"


def _looked_up(found: re.Match[str]) -> str:
    """Write an import as a look-up."""
    return f"const {{{found[1].replace(' as ', ': ')}}} = modules[{json.dumps(found[2])}];"
