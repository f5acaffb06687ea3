"""The size of the code: how much of it there is, and how much a reader must hold at once."""

import ast
import io
import tokenize
from pathlib import Path

import pytest

PACKAGES = ("tl_base", "tl_helpers", "tl_experiments")
MOST_CODE = 2_000  # lines of tl_helpers, which a learner may want to read as a whole
LONGEST_MODULE, LONGEST_FUNCTION, MOST_PARAMETERS = 500, 50, 8  # lines, lines, without `self`
NO_CODE = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)
ROOT = Path(__file__).resolve().parent.parent
each_package = pytest.mark.parametrize("package", PACKAGES)


def modules(package):
    """Return the text of each module by its name."""
    return {path.name: path.read_text(encoding="utf-8") for path in sorted((ROOT / package).rglob("*.py"))}


def code_lines(text):
    """Count the lines that hold something else than a comment or a docstring."""
    docs = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.body:
            first = node.body[0]
            if isinstance(first, ast.Expr) and isinstance(getattr(first.value, "value", None), str):
                docs.update(range(first.lineno, first.end_lineno + 1))
    lines = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in NO_CODE:
            lines.update(range(token.start[0], token.end[0] + 1))
    return len(lines - docs)


def functions(texts):
    """Yield the functions of some modules, methods and inner ones too: the place and the node."""
    for name, text in texts.items():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{name}:{node.lineno} {node.name}", node


def parameters(node):
    """Return the parameters of a function without `self`; `*rows` and `**budget` are one each."""
    own = node.args
    found = [*own.posonlyargs, *own.args, own.vararg, *own.kwonlyargs, own.kwarg]
    return [one for one in found if one is not None and one.arg not in ("self", "cls")]


def long_functions(texts):
    lines = {place: node.end_lineno - node.lineno + 1 for place, node in functions(texts)}
    return {place: count for place, count in lines.items() if count > LONGEST_FUNCTION}


def with_many_parameters(texts):
    """Return the functions whose docstring does not say why they have so many: it would speak of "parameters".

    The heading of a docstring's section, "Parameters", says nothing. For its `__init__` a class says it.
    """
    counts = {}
    for name, text in texts.items():
        tree = ast.parse(text)
        owners = {one: node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) for one in node.body}
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                says = ast.get_docstring(owners[node] if node.name == "__init__" else node) or ""
                if "parameters" not in says:
                    counts[f"{name}:{node.lineno} {node.name}"] = len(parameters(node))
    return {place: count for place, count in counts.items() if count > MOST_PARAMETERS}


def not_annotated(texts):
    return [
        place
        for place, node in functions(texts)
        if node.returns is None or not all(one.annotation for one in parameters(node))
    ]


def test_the_package_that_chapters_import_can_be_read_as_a_whole():
    lines = {name: code_lines(text) for name, text in modules("tl_helpers").items()}
    assert sum(lines.values()) < MOST_CODE, lines


@each_package
def test_modules_are_short(package):
    lines = {name: len(text.splitlines()) for name, text in modules(package).items()}
    assert {name: count for name, count in lines.items() if count > LONGEST_MODULE} == {}


@each_package
def test_functions_are_short(package):
    assert long_functions(modules(package)) == {}


@each_package
def test_functions_take_few_parameters_or_say_why(package):
    assert with_many_parameters(modules(package)) == {}


@each_package
def test_functions_are_annotated(package):
    assert not_annotated(modules(package)) == []


# --- What these tests see ---------------------------------------------------------------------------------------------

MODULE = '''"""A module.

Two lines.
"""

import os  # a comment


class Some:
    """A class."""

    def method(self, a: int) -> str:
        """Say something."""
        # a comment
        return """a text
        of two lines"""
'''


def test_code_is_counted_without_docstrings_comments_and_blank_lines():
    assert code_lines(MODULE) == 5  # import, class, def, and two of the text


def of(count, doc="Do.", after=""):
    """Return a function with a number of parameters, a docstring and more lines."""
    names = "".join(f", p{i}: int = 0" for i in range(count - 1))
    return {"m.py": f'class C:\n    def f(self{names}, **more: int) -> None:\n        """{doc}"""\n{after}'}


def test_what_is_too_long_or_takes_too_much_is_seen():
    assert long_functions(of(1, after="        pass\n" * 48)) == {}
    assert long_functions(of(1, after="        pass\n" * 49)) == {"m.py:2 f": 51}
    assert with_many_parameters(of(8)) == {}
    assert with_many_parameters(of(9)) == {"m.py:2 f": 9}
    assert with_many_parameters(of(9, "Nine parameters, because of the equation.")) == {}
    section = "Do.\n\n        Parameters\n        ----------\n        "
    assert with_many_parameters(of(9, section)) == {"m.py:2 f": 9}


@pytest.mark.parametrize(
    ("head", "well"),
    [
        ("f(a: int, *, b: str) -> None", True),
        ("f() -> None", True),
        ("f(a: int)", False),
        ("f(a) -> int", False),
        ("f(*, b) -> int", False),
        ("f(*rows) -> int", False),
        ("f(**more) -> int", False),
    ],
)
def test_a_missing_annotation_is_seen(head, well):
    assert (not_annotated({"m.py": f"def {head}: ..."}) == []) == well
