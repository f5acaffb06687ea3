"""Check that the book's links to other hosts still lead somewhere; nothing is run.

`python tools/links.py` is `make links`. The links inside the book are tested by tests/test_site.py, without a network.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
JUPYTER_BOOK = "from jupyter_book.cli.main import main; main()"
SETTINGS = {
    "linkcheck_timeout": 15,  # seconds
    "linkcheck_report_timeouts_as_broken": False,
    "linkcheck_retries": 2,
    "linkcheck_anchors": False,  # many a page makes its anchors by a script
    "linkcheck_workers": 8,
}
# Some publishers answer programs with "forbidden", though a reader gets the page.
FORBIDDEN = ("401", "403", "405", "418", "429")
WRONG = ("broken", "timeout")


def ask(folder: Path) -> list[dict[str, Any]]:
    """Let Sphinx ask for every link; return its findings, one dictionary a link."""
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    config["execute"] = {"execute_notebooks": "off"}
    local = config["sphinx"]["local_extensions"]
    config["sphinx"]["local_extensions"] = {name: str(ROOT / place) for name, place in local.items()}
    config["sphinx"]["config"] |= SETTINGS
    settings = folder / "_config.yml"
    settings.write_text(yaml.safe_dump(config), encoding="utf-8")
    options = ["--builder", "linkcheck", "--config", str(settings), "--toc", str(ROOT / "_toc.yml"), "-q"]
    command = [sys.executable, "-c", JUPYTER_BOOK, "build", str(ROOT), "--path-output", str(folder), *options]
    done = subprocess.run(command, capture_output=True, text=True)
    found = [*folder.rglob("output.json")]
    if not found:
        sys.exit(f"The links were not collected:\n{done.stdout}{done.stderr}")
    return [json.loads(line) for line in found[0].read_text(encoding="utf-8").splitlines()]


def judge(links: list[dict[str, Any]]) -> tuple[str, bool]:
    """Sum up the findings: a report and whether all is well."""
    links = [link for link in links if link["uri"].startswith("http")]
    wrong = [link for link in links if link["status"] in WRONG and not link["info"].startswith(FORBIDDEN)]
    if links and all(link["status"] in WRONG and not answered(link) for link in links):
        return f"No network: none of {len(links)} links to other hosts could be checked.", False
    refused = sum(link["status"] in WRONG for link in links) - len(wrong)
    counts = Counter(link["status"] for link in links if link["status"] not in WRONG)
    lines = [f"{link['filename']}:{link['lineno']}: {link['uri']}\n    {link['info']}" for link in wrong]
    told = ", ".join(f"{count} {status}" for status, count in sorted(counts.items())) or "none work"
    lines.append(f"{len(links)} links: {told}, {refused} refuse programs, {len(wrong)} broken.")
    return "\n".join(lines), not wrong


def answered(link: dict[str, Any]) -> bool:
    """Tell whether a host said anything at all: Sphinx then quotes its status code."""
    return link["info"][:3].isdigit()


def main() -> None:
    """Run the command line; exit status 1 if a link is broken or nothing could be checked."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        report, well = judge(ask(Path(folder)))
    print(report)
    sys.exit(not well)


if __name__ == "__main__":
    main()
