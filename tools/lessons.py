"""Say where the code of a page is not code to learn from: what a reader sees has to read alone."""

import ast
import symtable

from IPython.core.inputtransformer2 import TransformerManager
from nbformat import NotebookNode

FOLDED = {"hide-input", "hide-cell", "remove-cell", "remove-input"}  # tags that fold the code of a cell
WIDEST, LONGEST = 88, 12  # columns; lines, blank ones and comments not counted


def python_of(source: str) -> str:
    """Return a cell as the Python that IPython makes of it: lines that begin with % or ! are calls."""
    return TransformerManager().transform_cell(source)


def tables(table: symtable.SymbolTable) -> list[symtable.SymbolTable]:
    """Return a scope and all scopes in it."""
    return [table, *(inner for child in table.get_children() for inner in tables(child))]


def bound(node: ast.AST) -> set[str]:
    """Return the names that a piece of code gives to what comes after it, outside functions and comprehensions."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return {node.name}
    if isinstance(node, ast.Lambda | ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
        return set()
    if isinstance(node, ast.Name):
        return {node.id} if isinstance(node.ctx, ast.Store) else set()
    if isinstance(node, ast.alias):
        return {(node.asname or node.name).split(".")[0]}
    return set().union(*(bound(child) for child in ast.iter_child_nodes(node)))


def read(source: str) -> set[str]:
    """Return the names that a cell, or a function in it, looks up in the notebook."""
    top, *inner = tables(symtable.symtable(source, "cell", "exec"))
    names = [name for name in top.get_symbols() if name.is_referenced()]
    names += [name for scope in inner for name in scope.get_symbols() if name.is_global()]
    return {name.get_name() for name in names}


def violations(notebook: NotebookNode) -> list[str]:
    """Return one line for each thing that a learner would stumble over in the code of a page.

    A solution may be folded and define what it needs; the first cell of all chapters loads the package.
    """
    found, shown, hidden = [], set(), set()
    for number, cell in enumerate(notebook.cells, start=1):
        tags = set(cell.metadata.get("tags", []))
        if cell.cell_type != "code" or "solution" in tags or cell.get("id") == "first-cell":
            continue
        code = python_of(cell.source)
        names = bound(ast.parse(code))
        if FOLDED & tags:
            hidden |= names - shown
            if names:
                found.append(f"cell {number} is folded and defines {', '.join(sorted(names))}: show it, or do without")
            continue
        if foreign := sorted((read(code) - names) & (hidden - shown)):
            found.append(f"cell {number} reads {', '.join(foreign)}, which only a folded cell defines")
        shown |= names
        lines = [line for line in cell.source.splitlines() if line.strip() and not line.strip().startswith("#")]
        if len(lines) > LONGEST:
            found.append(f"cell {number} has {len(lines)} lines of code: {LONGEST} at most")
        found += [
            f"cell {number} has a line of {len(line)} columns, {WIDEST} at most: {line.strip()[:60]}…"
            for line in cell.source.splitlines()
            if len(line) > WIDEST
        ]
    return found
