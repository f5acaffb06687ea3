"""The files that hosts read: workflows, hooks, Binder, citation; what they name exists, and versions agree."""

import re
import tomllib

import pytest
import yaml

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
def test_a_workflow_calls_what_exists_and_pins_its_actions(root, targets, name):
    workflow = load(root / f".github/workflows/{name}.yml")
    assert workflow.keys() >= {"name", "permissions", "jobs"}
    commands = [step["run"] for step in steps(workflow) if "run" in step]
    assert commands
    for command in commands:
        program, *arguments = command.split()
        assert (program == "make" and arguments[0] in targets) or program == "cp" or (root / program).is_file(), command
    actions = [step["uses"] for step in steps(workflow) if "uses" in step]
    assert actions
    assert [action for action in actions if not re.fullmatch(r"actions/[\w-]+@v\d+", action)] == []


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
    (named,) = [line.removeprefix("-r ") for line in lines if line.startswith("-r ")]
    assert (folder / named).resolve() == root / "requirements.txt"
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
