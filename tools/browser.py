"""Find the browser that tests the built site; as root on a machine with apt, install Debian's where there is none."""

import os
import shutil
import subprocess
import sys

from playwright.sync_api import Browser, Error, Playwright, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome", "msedge")
QUIET = (  # a browser that asks for nothing by itself
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


class NoBrowserError(Exception):
    """No browser starts; the message says what was tried and what to do."""


def candidates() -> list[dict[str, str]]:
    """Return launch options: what is on PATH, then Chrome and Edge in their usual places, then playwright's own."""
    found = [shutil.which(name) for name in NAMES]
    return [*({"executable_path": path} for path in found if path), {"channel": "chrome"}, {"channel": "msedge"}, {}]


def launch(playwright: Playwright) -> Browser:
    """Start the first browser that starts, without a window."""
    refusals = []
    for options in candidates():
        try:
            return playwright.chromium.launch(args=QUIET, **options)
        except Error as error:
            refusals.append(f"  {options or 'own of playwright'}: {error.message.strip().splitlines()[0]}")
    raise NoBrowserError(
        "The tests of the built site need Chromium, Chrome or Edge, and none starts. Tried:\n"
        + "\n".join(refusals)
        + f'\nInstall one: "{sys.executable}" -m playwright install chromium'
        + "\n(Debian: apt install chromium; missing libraries: the same command with --with-deps.)"
    )


def version() -> str:
    """Return the version of the browser that starts."""
    with sync_playwright() as playwright:
        browser = launch(playwright)
        try:
            return browser.version
        finally:
            browser.close()


def install() -> None:
    """Install Debian's Chromium."""
    quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update"], ["install", "-y", "--no-install-recommends", "chromium"]):
        subprocess.run(["apt-get", "-q", *command], env=quiet, check=True)


def main() -> None:
    """Make sure that a browser starts; exit status 1 if none does."""
    try:
        found = version()
    except NoBrowserError as error:
        if not (hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("apt-get")):
            sys.exit(str(error))
        print("No browser starts: installing Debian's Chromium.", flush=True)
        try:
            install()
            found = version()
        except (subprocess.CalledProcessError, NoBrowserError) as failure:
            sys.exit(f"{failure}\n{error}")
    print(f"Browser for the tests: Chromium {found}")


if __name__ == "__main__":
    main()
