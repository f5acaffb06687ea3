"""The files that hosts read: workflows, hooks, Binder, citation; what they name exists, and versions agree."""

import ast
import importlib.metadata
import itertools
import re
import sys
import tomllib

import conftest
import pytest
import yaml
from packaging.requirements import Requirement

WORKFLOWS = ("test", "weekly", "pages")
PIN = re.compile(r"^([\w.-]+)==(\S+)", re.M)


def load(path):
    return yaml.safe_load(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def project(root):
    return tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def targets(root):
    return set(re.findall(r"^([a-z-]+):", (root / "Makefile").read_text(encoding="utf-8"), re.M))


def steps(workflow):
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_calls_what_exists_and_names_a_release_of_each_action(root, targets, name):
    workflow = load(root / f".github/workflows/{name}.yml")
    assert workflow.keys() >= {"name", "permissions", "jobs"}
    commands = [step["run"] for step in steps(workflow) if "run" in step]
    assert commands
    for command in commands:
        program, *arguments = command.split()
        assert (program == "make" and arguments[0] in targets) or program == "cp" or (root / program).is_file(), command
    actions = [step["uses"] for step in steps(workflow) if "uses" in step]
    assert actions
    # A tag that GitHub's own actions may move, not a commit: that is trust in GitHub, where the book is built anyway.
    assert [action for action in actions if not re.fullmatch(r"actions/[\w-]+@v\d+", action)] == []


def test_the_site_is_published_of_a_commit_whose_tests_passed(root):
    pages, tested = (load(root / f".github/workflows/{name}.yml") for name in ("pages", "test"))
    triggers = pages[True]  # YAML's word for `on`
    assert triggers == {"workflow_run": {"workflows": [tested["name"]], "branches": ["main"], "types": ["completed"]}}
    build, deploy = pages["jobs"]["build"], pages["jobs"]["deploy"]
    run = "github.event.workflow_run"
    assert build["if"] == f"{run}.conclusion == 'success' && {run}.event == 'push'"
    assert build["steps"][0]["with"]["ref"] == f"${{{{ {run}.head_sha }}}}"
    assert deploy["needs"] == "build"
    assert [step["run"] for step in steps(tested) if "run" in step] == [".ci/run"]


def test_new_versions_of_packages_and_actions_are_proposed(root):
    updates = load(root / ".github/dependabot.yml")["updates"]
    assert {each["package-ecosystem"]: each["directory"] for each in updates} == {"pip": "/", "github-actions": "/"}
    assert all(each["schedule"]["interval"] == "weekly" for each in updates)


def test_every_workflow_is_tested(root):
    assert sorted(path.stem for path in (root / ".github/workflows").iterdir()) == sorted(WORKFLOWS)


def test_the_weekly_build_uses_no_cache_and_every_python_that_the_makefile_takes(root):
    weekly = load(root / ".github/workflows/weekly.yml")
    assert "cache" not in " ".join(step.get("uses", "") for step in steps(weekly))
    pythons = weekly["jobs"]["clean"]["strategy"]["matrix"]["python"]
    assert all(f"python{version} " in (root / "Makefile").read_text(encoding="utf-8") for version in pythons)


def test_hooks_run_what_the_book_has(root):
    (repository,) = load(root / ".pre-commit-config.yaml")["repos"]
    assert repository["repo"] == "local"
    entries = {hook["id"]: hook["entry"].split() for hook in repository["hooks"]}
    assert entries["strip-notebooks"] == [".venv/bin/python", "tools/notebooks.py", "strip"]
    assert entries["ruff-check"][:3] == entries["ruff-format"][:3] == [".venv/bin/python", "-m", "ruff"]
    assert (root / "tools/notebooks.py").is_file()


def test_binder_installs_what_everybody_installs(root):
    folder = root / ".binder"
    lines = (folder / "requirements.txt").read_text(encoding="utf-8").splitlines()
    named = [line.partition(" ")[::2] for line in lines if not line.startswith("#")]
    assert {option: (folder / name).resolve() for option, name in named} == {
        "-c": root / "constraints.txt",
        "-r": root / "requirements.txt",
    }
    assert re.fullmatch(r"python-3\.1[123]\n", (folder / "runtime.txt").read_text(encoding="utf-8"))


def test_the_citation_and_the_changes_know_the_version(root, project):
    citation = load(root / "CITATION.cff")
    assert citation.keys() >= {"cff-version", "message", "title", "authors", "version", "license"}
    assert citation["version"] == project["version"]
    assert citation["title"] == load(root / "_config.yml")["title"]
    assert citation["authors"] == [{"name": load(root / "_config.yml")["author"]}]
    assert f"## {project['version']}\n" in (root / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_package_asks_for_what_its_code_is_pinned_with(root, project):
    code = (root / "requirements.txt").read_text(encoding="utf-8").partition("-e .")[0]
    asked = [re.match(r"[\w-]+", line).group() for line in project["dependencies"]]
    assert asked == [name for name, _ in PIN.findall(code)]


def test_the_reference_has_every_module(root):
    import tl_helpers

    page = (root / "chapters/api.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"automodule:: tl_helpers\.(\w+)", page)) == sorted(tl_helpers.__all__)


# --- Packages --------------------------------------------------------------------------------------------------------

LOCKED = re.compile(r"^([\w.-]+)==([^\s;]+)( ; .+)?$")
PACKAGES = ("tl_base", "tl_helpers", "tl_experiments")


def normal(name):
    """Return the name of a distribution as an index writes it."""
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.fixture(scope="module")
def pins(root):
    """Return the version of each requirement by its name."""
    return {normal(name): version for name, version in PIN.findall((root / "requirements.txt").read_text("utf-8"))}


@pytest.fixture(scope="module")
def locked(root):
    """Return the lines of constraints.txt that are no comment."""
    lines = (root / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if not line.lstrip().startswith("#")]


def imported(*folders):
    """Return the distributions behind the modules that the Python files of some folders import, each with one file."""
    known, found = importlib.metadata.packages_distributions(), {}
    paths = [path for folder in folders for path in sorted(folder.rglob("*.py"))]
    own = {path.stem for path in paths} | set(PACKAGES)
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and not node.level else []
            for module in {name.partition(".")[0] for name in names} - own - sys.stdlib_module_names:
                found[frozenset(map(normal, known.get(module, [module])))] = f"{path.name} imports {module}"
    return found


def test_everything_that_is_imported_is_pinned(root, pins):
    found = imported(*(root / folder for folder in (*PACKAGES, "tools", "tests")))
    assert len(found) > 25
    unknown = [where for names, where in found.items() if not names & pins.keys()]
    # PyTorch is asked in a Python of its own, once, whether the converted network computes the same.
    assert [where for where in unknown if not where.startswith("original_imagenet.py imports ")] == []


def test_the_package_asks_for_everything_that_it_imports(root, project):
    asked = [*project["dependencies"], *itertools.chain(*project["optional-dependencies"].values())]
    names = {normal(re.match(r"[\w.-]+", line).group()) for line in asked}
    found = imported(*(root / folder for folder in PACKAGES))
    assert [where for distributions, where in found.items() if not distributions & names] == []


def test_an_import_that_is_not_pinned_is_seen(tmp_path):
    (tmp_path / "some.py").write_text("import os, yaml\nfrom numpy.typing import NDArray\nfrom . import other\n")
    found = imported(tmp_path)
    assert list(found.values()) == ["some.py imports yaml", "some.py imports numpy"]
    assert [names & {"pyyaml", "numpy"} for names in found] == [{"pyyaml"}, {"numpy"}]


def test_every_requirement_is_locked_at_its_version(pins, locked):
    found = {}
    for line in locked:
        name, version, _ = LOCKED.fullmatch(line).groups()  # no address, no option, no path of a machine
        found.setdefault(normal(name), set()).add(version)
    assert len(found) > len(pins)
    assert {name: version for name, version in pins.items() if found.get(name) != {version}} == {}


def test_what_is_locked_is_what_the_requirements_need(pins, locked):
    """Go through what the installed packages say that they need: nothing of it is left to the day of the set-up."""
    held = {normal(LOCKED.fullmatch(line).group(1)) for line in locked}
    missing, waiting, seen = set(), set(pins), set()
    while waiting:
        name = waiting.pop()
        seen.add(name)
        missing |= {name} - held
        for line in importlib.metadata.requires(name) or []:
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting |= {normal(requirement.name)} - seen
    assert missing == set()


@pytest.mark.parametrize("extra", ["dask", "export"])
def test_the_extras_of_the_package_are_installed_by_whoever_tests(pins, project, extra):
    assert {normal(name) for name in project["optional-dependencies"][extra]} <= pins.keys()


@pytest.mark.parametrize("name", ["Makefile", "README.md", "chapters/for_teachers.md"])
def test_every_set_up_takes_the_locked_versions(root, name):
    lines = (root / name).read_text(encoding="utf-8").splitlines()
    set_ups = [line for line in lines if re.search("pip (install|download) .*requirements.txt", line)]
    assert set_ups
    assert [line for line in set_ups if "-c constraints.txt -r requirements.txt" not in line] == []


# --- What `make check` leaves out ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "marks"),
    [
        ("from playwright.sync_api import expect", ["browser"]),
        ("from tl_base.backend import keras", ["training"]),
        ("from tl_helpers import data, models", ["training"]),
        ("from tl_helpers import data", []),
        ("    from tl_helpers import models", []),  # when a test runs, not when its file is imported
    ],
)
def test_a_test_file_is_known_by_what_it_imports(line, marks, tmp_path):
    path = tmp_path / "test_new.py"
    path.write_text(f"import os\n{line}\n")
    assert conftest.marks_of(path) == marks


def test_the_modules_that_load_tensorflow_are_known(root):
    """Go through the imports at the top of the modules, and what those import in turn."""
    above = {}
    for package in PACKAGES:
        for path in (root / package).glob("*.py"):
            lines = re.findall(r"^from (tl_\w+)(?:\.(\w+))? import (.+)$", path.read_text(encoding="utf-8"), re.M)
            above[path.stem] = {module or name for _, module, names in lines for name in re.findall(r"\w+", names)}
    found = {"backend"}
    while more := {name for name, needs in above.items() if needs & found} - found:
        found |= more
    assert set(conftest.LOADERS.split("|")) | {"backend"} == found
