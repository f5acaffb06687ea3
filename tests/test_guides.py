"""README and CONTRIBUTING: what they point to is there, and the map of the house is the order that imports follow."""

import re
import shutil
import subprocess
import sys
import tomllib

import pytest

LINK = re.compile(r"\]\(([^)#\s]+)")
PACKAGES = ("tl_base", "tl_helpers", "tl_experiments")
LINT = "from importlinter.cli import lint_imports_command; lint_imports_command()"


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_links_to_files_lead_somewhere(root, name):
    text = re.sub(r"`[^`\n]*`", "", (root / name).read_text(encoding="utf-8"))  # an example leads nowhere
    links = [link for link in LINK.findall(text) if "://" not in link]
    assert [link for link in links if not (root / link).is_file()] == []


def test_every_make_target_of_the_readme_exists(root):
    targets = re.findall(r"`make ([a-z-]+)", (root / "README.md").read_text(encoding="utf-8"))
    made = re.findall(r"^([a-z-]+):", (root / "Makefile").read_text(encoding="utf-8"), re.M)
    assert targets
    assert set(targets) <= set(made)


# --- The map and the layers ------------------------------------------------------------------------------------------


def mapped(root):
    """Return the modules of each package as the map of CONTRIBUTING lists them, what stands below all others first."""
    found = {}
    for name, part in re.findall(
        r"^\| (?:`(\w+)/`|[├└] `(\w+)`) \|", (root / "CONTRIBUTING.md").read_text("utf-8"), re.M
    ):
        if name:
            modules = found[name] = []
        else:
            modules.append(part)
    return {package: found[package] for package in PACKAGES}


@pytest.fixture(scope="module")
def contracts(root):
    return tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]


def test_the_map_and_the_contracts_have_every_module_in_the_same_order(root, contracts):
    layers = {package: one["layers"] for one in contracts for package in one.get("containers", ())}
    assert {package: modules[::-1] for package, modules in layers.items()} == mapped(root)
    assert all(one["exhaustive"] for one in contracts if "containers" in one)
    for package, modules in mapped(root).items():
        assert sorted(modules) == sorted(path.stem for path in (root / package).glob("*.py") if path.stem != "__init__")


def test_the_packages_stand_on_each_other(contracts):
    assert [one["layers"] for one in contracts if "containers" not in one] == [list(reversed(PACKAGES))]


def lint(folder):
    """Hold the packages in a folder to the contracts; return the exit status and what is told."""
    done = subprocess.run([sys.executable, "-c", LINT, "--no-cache"], cwd=folder, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def copy(root, tmp_path):
    """Return a folder with the packages' modules and the contracts."""
    shutil.copy(root / "pyproject.toml", tmp_path)
    for package in PACKAGES:
        shutil.copytree(root / package, tmp_path / package, ignore=shutil.ignore_patterns("assets", "front", "*.pyc"))
    return tmp_path


def test_the_packages_keep_the_contracts(copy):
    status, told = lint(copy)
    assert status == 0, told


@pytest.mark.parametrize("lower", ["tl_base", "tl_helpers"])
def test_an_import_of_a_package_above_is_seen(root, copy, lower):
    upper = PACKAGES[PACKAGES.index(lower) + 1]
    first, last = (mapped(root)[package][0] for package in (lower, upper))
    with (copy / lower / f"{first}.py").open("a") as file:
        file.write(
            f"\n\ndef late():\n    from {upper} import {last}\n    return {last}\n"
        )  # not on import, but all the same
    status, told = lint(copy)
    assert status == 1
    assert re.search(rf"{lower}\.{first}\W+->\W+{upper}\.{last}", told), told


@pytest.mark.parametrize("package", PACKAGES)
def test_an_import_of_a_module_above_is_seen(root, copy, package):
    first, *_, last = mapped(root)[package]
    with (copy / package / f"{first}.py").open("a") as file:
        file.write(f"\nimport {package}.{last}\n")
    status, told = lint(copy)
    assert status == 1
    assert re.search(rf"{package}\.{first}\W+->\W+{package}\.{last}", told), told


def test_a_module_that_no_contract_names_is_seen(copy):
    (copy / "tl_base" / "new.py").write_text("")
    status, told = lint(copy)
    assert status == 1
    assert "tl_base.new" in told


HEAVY = ("tensorflow", "keras", "sklearn", "scipy", "pandas", "matplotlib", "IPython", "ipywidgets", "numpy")


def test_the_package_that_chapters_import_loads_nothing_until_it_is_used(root):
    code = "import sys; before = set(sys.modules); import tl_helpers; print(*sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert "tl_helpers" in done.stdout.split()
    assert [name for name in done.stdout.split() if name.partition(".")[0] in (*HEAVY, "tl_base")] == []
