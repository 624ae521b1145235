"""The cache of arrays that are equal for all cases."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from strokerepro.errors import InputError
from strokerepro.phantom.cache import Arrays, cached_arrays


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder."""
    monkeypatch.setenv("STROKEREPRO_CACHE", str(tmp_path))
    return tmp_path


class _Builder:
    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> Arrays:
        self.calls += 1
        return {"squares": np.arange(5) ** 2}


def test_arrays_are_built_once(cache: Path) -> None:
    """The second call reads what the first one wrote."""
    build = _Builder()
    first, second = (cached_arrays("squares", "0" * 64, build) for _ in range(2))
    assert build.calls == 1
    assert np.array_equal(first["squares"], second["squares"])


def test_another_key_is_another_file(cache: Path) -> None:
    """Arrays that depend on other settings are not mixed up."""
    build = _Builder()
    cached_arrays("squares", "a" * 64, build)
    cached_arrays("squares", "b" * 64, build)
    assert build.calls == 2


def test_a_damaged_file_is_made_anew(cache: Path) -> None:
    """Half a file, as after a crash of the machine, is replaced."""
    build = _Builder()
    cached_arrays("squares", "0" * 64, build)
    (path,) = cache.rglob("*.npz")
    path.write_bytes(path.read_bytes()[:60])
    assert np.array_equal(cached_arrays("squares", "0" * 64, build)["squares"], [0, 1, 4, 9, 16])
    assert build.calls == 2


def test_a_cache_that_cannot_be_written_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message says which variable to set."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("STROKEREPRO_CACHE", str(tmp_path / "file"))
    with pytest.raises(InputError, match="STROKEREPRO_CACHE"):
        cached_arrays("squares", "0" * 64, _Builder())
