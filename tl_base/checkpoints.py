"""Weights in files: every weight of a network by its name, written whole and read only where all fit."""

import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tl_base import files
from tl_base.backend import keras
from tl_base.graph import ModelError, free, operations_of


def weight_arrays(model: keras.Model) -> dict[str, np.ndarray]:
    """Name every weight of a network.

    Parameters
    ----------
    model : keras.Model

    Returns
    -------
    dict of str to ndarray
        ``"conv1/kernel"`` to its value, float32.
    """
    return {name: variable.numpy() for name, variable in _named_weights(model).items()}


def _named_weights(model: keras.Model) -> dict[str, keras.Variable]:
    named: dict[str, keras.Variable] = {}
    for name, layer in operations_of(model).items():
        for variable in layer.weights if isinstance(layer, keras.Layer) else ():
            named[free(f"{name}/{variable.name}", "", named)] = variable  # a wrapper may hold two kernels
    return named


def save_arrays(path: files.PathLike, arrays: Mapping[str, np.ndarray]) -> None:
    """Write named arrays to an ``.npz`` file, atomically: the file is either the old one or the whole new one.

    Parameters
    ----------
    path : path-like
    arrays : mapping of str to ndarray

    Raises
    ------
    FileError
        If something else than a regular file has that name, or the file cannot be written; see `files.replacing`.
    """
    with files.replacing(path) as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]  # a name might be that of NumPy's own argument


def load_weights(model: keras.Model, path: files.PathLike) -> keras.Model:
    """Read a checkpoint into a network. Nothing is changed unless every array fits.

    Parameters
    ----------
    model : keras.Model
        Changed in place.
    path : path-like
        An ``.npz`` file as `save_arrays` writes it; pickled objects are refused.

    Returns
    -------
    keras.Model
        The same model.

    Raises
    ------
    ModelError
        If the file is damaged, or belongs to another architecture.
    """
    expected = _named_weights(model)
    try:
        with Path(path).open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ModelError(
            f"{path} cannot be read as a checkpoint ({error}). Write it again, e.g. `make weights`."
        ) from error
    wrong = [
        f"{name}: expected {tuple(w.shape)}, found {arrays[name].shape if name in arrays else 'nothing'}"
        for name, w in expected.items()
        if name not in arrays or arrays[name].shape != tuple(w.shape) or arrays[name].dtype.kind != "f"
    ]
    wrong += [f"{name}: not a weight of this network" for name in sorted(arrays.keys() - expected.keys())]
    if wrong:
        raise ModelError(f"{path} belongs to another network than {model.name!r}. " + "; ".join(wrong[:4]) + ".")
    for name, weight in expected.items():
        weight.assign(arrays[name].astype("float32"))
    return model
