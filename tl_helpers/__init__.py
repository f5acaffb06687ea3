"""The small package that every chapter imports.

Submodules load on first use (PEP 562), so ``import tl_helpers`` is quick and loads no TensorFlow.
"""

import importlib

_SUBMODULES = (
    "data",
    "knowledge",
    "measures",
    "models",
    "plots",
    "sources",
    "training",
    "transfer",
    "widgets",
)

__all__ = list(_SUBMODULES)


def __getattr__(name):
    if name in _SUBMODULES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(_SUBMODULES)}")


def __dir__():
    return sorted([*globals(), *_SUBMODULES])
