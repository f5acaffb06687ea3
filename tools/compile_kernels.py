"""Compile the loops of the photograph page to WebAssembly, and put them into a JavaScript module.

Needs clang for WebAssembly, which comes with Zig: install it in an environment of its own and say where it is:

    python3 -m venv /tmp/zig && /tmp/zig/bin/pip install ziglang==0.17.1
    python tools/compile_kernels.py /tmp/zig/bin/python

The module holds the digest of its source; a test compares them, so that neither changes without the other.
"""

import argparse
import base64
import hashlib
import subprocess
import tempfile
from pathlib import Path

FRONT = Path(__file__).resolve().parent.parent / "tl_helpers" / "front"
SOURCE = FRONT / "kernels.c"
MODULE = FRONT / "kernels_wasm.js"
# The page brings the memory; the stack has its first 64 KB, which the page leaves alone.
FLAGS = (
    *(
        "--target=wasm32-freestanding",
        "-mcpu=generic+simd128",
        "-O3",
        "-nostdlib",
        "-ffp-contract=off",
        "-Wall",
        "-Werror",
    ),
    *("-Wl,--no-entry", "-Wl,--import-memory", "-Wl,--strip-all", "-Wl,-z,stack-size=32768"),
)
WIDTH = 100


def digest(source: Path = SOURCE) -> str:
    """Return what identifies a source: the SHA-256 of its text."""
    return hashlib.sha256(source.read_bytes()).hexdigest()


def compiled(python: str) -> bytes:
    """Compile the source with the clang of Zig, which that Python has."""
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "kernels.wasm"
        subprocess.run([python, "-m", "ziglang", "cc", *FLAGS, str(SOURCE), "-o", str(made)], check=True)
        return made.read_bytes()


def module(program: bytes) -> str:
    """Write the program as a JavaScript module."""
    text = base64.b64encode(program).decode()
    lines = ",\n".join(f'  "{text[at : at + WIDTH]}"' for at in range(0, len(text), WIDTH))
    return (
        "// kernels.c, compiled: made by tools/compile_kernels.py, not by hand.\n\n"
        f"// SHA-256 of kernels.c: {digest()}\n"
        f'export const PROGRAM = [ // base64\n{lines},\n].join("");\n'
    )


def main() -> None:
    """Compile, and write the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("python", help="a Python that has the package ziglang")
    program = compiled(parser.parse_args().python)
    MODULE.write_text(module(program), encoding="utf-8")
    print(f"{MODULE.name}: {len(program):,} bytes compiled")


if __name__ == "__main__":
    main()
