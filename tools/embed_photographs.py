"""Copies the photographs of TrashNet that come with the package: 30 of each class, as they are, and the licence.

    TL_DATA_DIR=… .venv/bin/python tools/embed_photographs.py

Which ones is a fixed draw, with one picture under two labels and one object photographed twice among them.
"""

import os
import shutil
from pathlib import Path

import numpy as np

PER_CLASS, SEED, MOST_BYTES = 30, 1797, 2_000_000
TWINS = ("glass/glass115.jpg", "metal/metal91.jpg", "paper/paper185.jpg", "paper/paper390.jpg")
TARGET = Path(__file__).resolve().parent.parent / "tl_helpers/assets/trashnet"


def chosen(source: Path) -> list[Path]:
    """Return which photographs of a folder of classes are taken, relative to it."""
    generator, result = np.random.default_rng(SEED), []
    for folder in sorted(path for path in source.iterdir() if path.is_dir()):
        names = sorted(path.relative_to(source) for path in folder.glob("*.jpg"))
        first = [name for name in names if name.as_posix() in TWINS]
        others = [names[i] for i in generator.permutation(len(names)) if names[i] not in first]
        result.extend([*first, *others][:PER_CLASS])
    return sorted(result)


def embed(source: Path, target: Path = TARGET) -> int:
    """Copy them; return how many bytes they have together."""
    taken = chosen(source)
    size = sum((source / name).stat().st_size for name in taken)
    if size > MOST_BYTES:
        raise SystemExit(f"{size:,} bytes, more than {MOST_BYTES:,}: take fewer of each class.")
    shutil.rmtree(target, ignore_errors=True)
    for name in (*taken, Path("LICENSE")):
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source / name, target / name)
    return size


if __name__ == "__main__":
    print(f"{embed(Path(os.environ['TL_DATA_DIR']).expanduser() / 'trashnet'):,} bytes in {TARGET}")
