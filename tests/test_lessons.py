"""What is asked of the code that a reader sees; `tools/notebooks.py check` asks it of every page."""

import lessons
import nbformat
import pytest


def page(*cells):
    made = [
        nbformat.v4.new_code_cell(source, metadata={"tags": [tag] if tag else []}) if tag is not None else source
        for source, tag in cells
    ]
    return nbformat.v4.new_notebook(cells=made)


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ([("import math", "hide-input"), ("math.pi", "")], "folded and defines math"),
        ([("a = 1", "hide-cell"), ("a + 1", "")], "cell 2 reads a"),
        ([("def a():\n    return 1", "remove-cell"), ("[a() for _ in range(3)]", "")], "cell 2 reads a"),
        ([("a = 1", "hide-input"), ("def f():\n    return a", "")], "cell 2 reads a"),
        ([("a = 1", "hide-input"), ("f = lambda x: x + a", "")], "cell 2 reads a"),
        ([("for i in [1]:\n    i", "remove-input")], "defines i"),
        ([("print(1)\n" * 13, "")], "has 13 lines"),
        ([("x = '" + "a" * 90 + "'", "")], "a line of 96 columns"),
    ],
)
def test_what_a_learner_stumbles_over_is_seen(cells, message):
    assert message in "\n".join(lessons.violations(page(*cells)))


@pytest.mark.parametrize(
    "cells",
    [
        [("a = 1", ""), ("print(a)", "hide-input"), ("a + 1", "")],
        [("print([x for x in range(3)])", "hide-input"), ("x = 2\nx", "")],
        [("a = 1", "solution"), ("print(1)\n# a comment\n\n" * 12, "")],
        [("a = 1", "hide-input"), ("a = 2\na + 1", ""), ("a", "")],
        [("%%writefile a.py\nnot python", ""), ("%pip --version", "")],
        [("def f(a):\n    return [a for _ in a]", ""), ("f([1])", "")],
    ],
)
def test_code_that_reads_alone_is_accepted(cells):
    found = [line for line in lessons.violations(page(*cells)) if "folded and defines" not in line]
    assert found == []
