"""Mark a folder of handed-in homework: `python tools/marks.py FOLDER` writes FOLDER/marks.csv.

The answers are read from what the last cell of each notebook printed; nothing of a notebook is run, so it has to be
saved after it was run. Points and right answers stand in homework/answers.toml.
"""

import argparse
import csv
import io
import json
import sys
import tomllib
from pathlib import Path
from typing import Any

import nbformat

from tl_base import files
from tl_base.replies import hint

ROOT = Path(__file__).resolve().parent.parent
ANSWERS = ROOT / "homework" / "answers.toml"
CELL = "hand-in"  # the id of the cell that prints the answers
NOTEBOOK = "*.ipynb"
MARKS = "marks.csv"


class HandInError(ValueError):
    """A notebook cannot be marked; the message says why."""


def answers_of(path: Path) -> dict[str, Any]:
    """Return what the last cell of a notebook printed."""
    try:
        notebook = nbformat.read(path, as_version=4)
    except (OSError, ValueError, nbformat.ValidationError) as error:
        raise HandInError(f"is no notebook: {str(error).splitlines()[0]}") from error
    cell = next((cell for cell in notebook.cells if cell.get("id") == CELL), None)
    if cell is None:
        raise HandInError("has no cell that hands in: was it made from the homework?")
    printed = "".join(output.get("text", "") for output in cell.get("outputs", []))
    if not printed:
        raise HandInError("was not run to its end, or not saved after that: its last cell has printed nothing")
    try:
        given = json.loads(printed)
    except ValueError as error:
        raise HandInError("printed something else than answers in its last cell") from error
    if not isinstance(given, dict):
        raise HandInError("printed something else than answers in its last cell")
    return given


def marks_of(given: dict[str, Any], asked: dict[str, Any]) -> tuple[dict[str, int], list[str]]:
    """Return the points of each exercise, and what is said to each wrong answer."""
    points, told = {}, []
    for name, exercise in asked.items():
        answer = given.get(name)
        wrong = "Nothing was answered." if answer is None else hint(exercise, answer)
        points[name] = 0 if wrong else exercise["points"]
        if wrong:
            told.append(f"{name}: {wrong}")
    return points, told


def mark(folder: Path, asked: dict[str, Any]) -> list[dict[str, Any]]:
    """Return one row for each notebook below a folder; one that cannot be marked has a remark and no points."""
    rows = []
    for path in sorted(folder.rglob(NOTEBOOK)):
        if ".ipynb_checkpoints" in path.parts:
            continue
        row: dict[str, Any] = {"file": path.relative_to(folder).as_posix(), "name": ""}
        try:
            given = answers_of(path)
            points, told = marks_of(given, asked)
            row |= {"name": str(given.get("name", "")), **points}
            row |= {"total": sum(points.values()), "remarks": " ".join(told)}
        except HandInError as error:
            row["remarks"] = f"Not marked: the notebook {error}."
        rows.append(row)
    return rows


def plain(value: object) -> object:
    """Return a cell of the table that no spreadsheet takes for a formula, whatever a notebook says."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@")) else value


def table(rows: list[dict[str, Any]], asked: dict[str, Any]) -> str:
    """Return the rows as a table for a spreadsheet."""
    text = io.StringIO()
    rows = [{name: plain(value) for name, value in row.items()} for row in rows]
    writer = csv.DictWriter(text, ["file", "name", *asked, "total", "remarks"], restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    if not folder.is_dir():
        sys.exit(f"There is no folder {folder}. Give the folder that holds the notebooks of the class.")
    asked = tomllib.loads(ANSWERS.read_text(encoding="utf-8"))
    rows = mark(folder, asked)
    if not rows:
        sys.exit(f"There is no notebook (*.ipynb) in {folder}.")
    files.write(folder / MARKS, table(rows, asked))
    most = sum(exercise["points"] for exercise in asked.values())
    for row in rows:
        print(f"{row['file']}: " + (f"{row['total']} of {most}" if "total" in row else row["remarks"]))
    print(f"Written: {folder / MARKS}")


if __name__ == "__main__":
    main()
