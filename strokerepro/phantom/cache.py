"""Arrays that are slow to make and equal for all cases, kept in the user's cache folder."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from strokerepro.errors import InputError
from strokerepro.files import atomic_path, cache_root

Arrays = dict[str, NDArray[Any]]


def cached_arrays(name: str, key: str, build: Callable[[], Arrays]) -> Arrays:
    """Named arrays from the cache, made by `build` at the first call.

    Parameters
    ----------
    name
        What the arrays are; first part of the file name.
    key
        Hash of everything the arrays depend on.
    build
        Makes the arrays.

    Returns
    -------
    dict
        The arrays by name.

    Raises
    ------
    InputError
        When the cache folder cannot be written.
    """
    path = cache_root() / "phantom" / f"{name}-{key[:16]}.npz"
    if path.is_file():
        try:
            with np.load(path, allow_pickle=False) as stored:
                return {label: stored[label] for label in stored.files}
        except (OSError, ValueError, zipfile.BadZipFile):
            path.unlink(missing_ok=True)  # a damaged cache file is made anew below
    arrays = build()
    named: dict[str, Any] = dict(arrays)
    try:
        with atomic_path(path) as temporary, temporary.open("wb") as stream:
            np.savez_compressed(stream, **named)
    except OSError as error:
        raise InputError(
            f"{path.parent}: {error}",
            "a cache folder that can be written",
            "set STROKEREPRO_CACHE to one",
        ) from error
    return arrays
