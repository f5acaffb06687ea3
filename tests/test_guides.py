"""README and CONTRIBUTING: what they point to is there."""

import re

import pytest

LINK = re.compile(r"\]\(([^)#\s]+)")


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_links_to_files_lead_somewhere(root, name):
    links = [link for link in LINK.findall((root / name).read_text(encoding="utf-8")) if "://" not in link]
    assert [link for link in links if not (root / link).is_file()] == []


def test_the_map_of_the_house_names_every_module(root):
    told = (root / "CONTRIBUTING.md").read_text(encoding="utf-8")
    modules = [path.stem for path in (root / "tl_helpers").iterdir() if path.suffix == ".py" or path.is_dir()]
    assert [
        name for name in modules if not name.startswith("_") and f"├ `{name}" not in told and name != "assets"
    ] == []


def test_every_make_target_of_the_readme_exists(root):
    targets = re.findall(r"`make ([a-z-]+)", (root / "README.md").read_text(encoding="utf-8"))
    made = re.findall(r"^([a-z-]+):", (root / "Makefile").read_text(encoding="utf-8"), re.M)
    assert targets
    assert set(targets) <= set(made)
