"""The small package that every chapter imports.

Submodules load on first use (PEP 562), so ``import tl_helpers`` is quick and loads no TensorFlow.
"""

import importlib
import warnings
from pathlib import Path
from types import ModuleType

_SUBMODULES: tuple[str, ...] = ("data", "exercises", "knowledge", "looks", "measures", "models", "origins", "plots")
_SUBMODULES += ("records", "reports", "results", "rules", "training", "transfer", "widgets")

__all__ = list(_SUBMODULES)


def asset(name: str) -> Path:
    """Return where a file that ships with the package is, or would be.

    Parameters
    ----------
    name : str
        File name in ``tl_helpers/assets``.

    Returns
    -------
    pathlib.Path
    """
    return Path(__file__).parent / "assets" / name


def __getattr__(name: str) -> ModuleType:
    if name in _SUBMODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name == "experiments":  # as notebooks written for the first edition have it; to be dropped in the next release
        warnings.warn("tl_helpers.experiments is tl_experiments now", DeprecationWarning, stacklevel=2)
        return importlib.import_module("tl_experiments")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(_SUBMODULES)}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_SUBMODULES])
