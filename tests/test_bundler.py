"""Programs for pages: several modules as one text, and the rules that those of the book keep."""

import re

import pytest

from tl_base.bundler import ModuleError, bundle
from tl_base.pages import Page
from tl_helpers.widgets import FRONT, Quiz

TELL = "globalThis.told = entry;"
EXPORT = re.compile(r"^export (?:async )?(?:function|class|const) (\w+)", re.M)
IMPORT = re.compile(r'^import \{([^}]*)\} from "\./([^"]+)";$', re.M)
LONGEST_LINE, MOST_LINES = 120, 300


@pytest.fixture
def write(tmp_path):
    """Return a function that writes modules, given by name, to a folder, and returns the path of the first."""

    def write(**texts):
        for name, text in texts.items():
            (tmp_path / f"{name}.js").write_text(text, encoding="utf-8")
        return tmp_path / f"{next(iter(texts))}.js"

    return write


@pytest.fixture
def told(chromium):
    """Return a function that runs a program on a page, as a module and as a script, and returns what it told."""

    def told(program, expression):
        results = []
        for kind in ("module", "text/javascript"):
            page = chromium.new_page()
            page.set_content(f"<script type='{kind}'>{program}</script>")
            results.append(page.evaluate(expression))
            page.close()
        assert results[0] == results[1]
        return results[0]

    return told


def test_a_module_gets_what_it_imports(write, told):
    entry = write(
        first='import { double, SIDE as WIDTH } from "./second.js";\n'
        'import {\n  Point,\n  later,\n} from "./third.js";\n'
        "export const area = double(WIDTH) * new Point().x;\n"
        "export async function both() {\n  return [area, await later()];\n}\nexport default { area };\n",
        second='import { HALF } from "./third.js";\nexport const SIDE = 2 * HALF;\n'
        "export function double(value) {\n  return 2 * value;\n}\n",
        third="export const HALF = 3;\nexport class Point {\n  x = 5;\n}\nexport const later = async () => 7;\n",
    )
    assert told(bundle(entry, TELL), "told.both()") == [60, 7]
    assert told(bundle(entry, TELL), "told.default.area") == 60


def test_comments_stay_behind_and_nothing_else(write, told):
    entry = write(
        first="// What it does.\n/**\n * A block ** with / stars.\n * @param {number} x\n */\n"
        "export function twice(x) {\n  // doubled\n  const y = /** @type {number} */ (2 * x); // here too\n"
        "  /** @type {string[]} */\n  const words = [`a // b`, 'c /** d */'];\n  return [y, ...words];\n}\n"
    )
    program = bundle(entry, TELL)
    assert told(program, "told.twice(4)") == [8, "a // b", "c /** d */"]
    for gone in ("What it does", "A block", "@param", "// doubled", "string[]"):
        assert gone not in program


def test_names_inside_a_module_are_its_own(write, told):
    entry = write(
        first='import { side } from "./second.js";\nconst SIDE = 1;\nexport const sides = [SIDE, side];\n',
        second="const SIDE = 2;\nexport const side = SIDE;\n",
    )
    assert told(bundle(entry, TELL), "told.sides") == [1, 2]


def test_a_module_that_two_import_runs_once(write, told):
    entry = write(
        first='import { a } from "./second.js";\nimport { count } from "./third.js";\n'
        "export const all = [a, count()];\n",
        second='import { count } from "./third.js";\nexport const a = count();\n',
        third="let calls = 0;\nexport function count() {\n  return (calls += 1);\n}\n",
    )
    assert told(bundle(entry, TELL), "told.all") == [1, 2]


def test_what_anywidget_gets_is_a_module(write):
    assert bundle(write(first="export default { render };\n")).endswith("\nexport default entry.default;")


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ({"a": 'import { b } from "./b.js";\n'}, "no module b.js, which a.js asks for"),
        (
            {"a": 'import { b } from "./b.js";\n', "b": 'import { a } from "./a.js";\nexport const b = 1;\n'},
            "in a circle: a.js → b.js → a.js",
        ),
        ({"a": 'import { b, c } from "./b.js";\n', "b": "export const b = 1;\n"}, "a.js imports c from b.js, which"),
        ({"a": 'import b from "./b.js";\n'}, "a.js has a line that cannot be put on a page: import b from"),
        ({"a": 'import * as b from "./b.js";\n'}, "cannot be put on a page"),
        ({"a": 'import "./b.js";\n'}, "cannot be put on a page"),
        ({"a": 'import { b } from "./folder/b.js";\n'}, "cannot be put on a page"),
        ({"a": 'import { b } from "https://example.org/b.js";\n'}, "cannot be put on a page"),
        ({"a": "const a = 1;\nexport { a };\n"}, "cannot be put on a page: export { a };"),
        ({"a": 'export * from "./b.js";\n'}, "cannot be put on a page"),
        ({"a": "export let a = 1;\n"}, "cannot be put on a page: export let"),
        ({"a": "export const { a } = {};\n"}, "cannot be put on a page"),
        ({"a": "export default function a() {}\n"}, "cannot be put on a page"),
        ({"a": "const a = 1;\nif (a) {\n  import('./b.js');\n}\n"}, "cannot be put on a page: import"),
        ({"a": "const here = import.meta.url;\n"}, "cannot be put on a page"),
        ({"a": "export const a = await fetch('');\n"}, "cannot be put on a page"),
    ],
)
def test_what_cannot_be_put_on_a_page_is_refused(write, texts, message):
    with pytest.raises(ModuleError, match=re.escape(message)):
        bundle(write(**texts))


def test_a_missing_program_is_named(tmp_path):
    with pytest.raises(ModuleError, match=r"no module moon\.js, which a widget asks for"):
        type("Moon", (Page,), {}, program=tmp_path / "moon.js")


def test_two_widgets_stand_on_a_page_of_a_file_and_share_no_name(chromium, tmp_path):
    """As the site may be opened: from a folder, where a module can load no other."""
    quizzes = [Quiz("01_background"), Quiz("05_outlook")]
    (tmp_path / "page.html").write_text("".join(quiz.html() for quiz in quizzes), encoding="utf-8")
    page = chromium.new_page()
    wrong = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto((tmp_path / "page.html").as_uri())
    counts = [page.locator(".tlx").nth(i).locator("fieldset").count() for i in range(2)]
    assert counts == [len(quiz.content["questions"]) for quiz in quizzes]
    assert page.evaluate("[typeof modules, typeof entry]") == ["undefined"] * 2
    assert wrong == []
    page.close()


# --- The programs of the book ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def programs():
    return {path.name: path.read_text(encoding="utf-8") for path in FRONT.glob("*.js")}


def test_no_program_is_long(programs):
    assert [name for name, text in programs.items() if text.count("\n") > MOST_LINES] == []
    assert [
        f"{name}: {line}" for name, text in programs.items() for line in text.splitlines() if len(line) > LONGEST_LINE
    ] == []


def test_every_export_is_imported(programs):
    used = {
        (file, name.split(" as ")[0].strip())
        for text in programs.values()
        for names, file in IMPORT.findall(text)
        for name in names.split(",")
    }
    assert {(file, name) for file, text in programs.items() for name in EXPORT.findall(text)} - used == set()
