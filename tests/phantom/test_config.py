"""The knobs are documented, and frozen."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from strokerepro.errors import UsageError
from strokerepro.phantom import VERSIONS, cohort_cache_dir, config_hash
from strokerepro.phantom.config import SOURCES, describe, hash_config
from strokerepro.phantom.ctp_config import CTP
from strokerepro.phantom.dwi_config import DWI

# Whoever changes a knob changes every number that rests on the phantom: raise its version, make
# all records anew, and only then put the new hash here.
GOLDEN = {
    "dwi": ("2", "c449decf6a05778ec7bc01a1fd54655c805a7683b05188583f0ef1d675c88349"),
    "ctp": ("2", "7e88ecf5f67682914693841824909eaf0fd0abdc669281791e97434619f760b4"),
}


@pytest.mark.parametrize("kind", GOLDEN)
def test_the_phantom_is_frozen(kind: str) -> None:
    """Version and hash of all knobs are the recorded ones."""
    assert (VERSIONS[kind], config_hash(kind)) == GOLDEN[kind]


@pytest.mark.parametrize(("config", "least"), [(DWI, 60), (CTP, 90)])
def test_every_knob_has_a_unit_and_a_known_source(config: Any, least: int) -> None:
    """No number without its unit and without a source or the label of an assumption."""
    rows = list(describe(config))
    assert len(rows) > least
    for row in rows:
        assert row.unit, row.name
        assert row.source in SOURCES, row.name


def test_nested_knobs_are_named_by_their_path() -> None:
    """The row of a nested knob carries the path to it and its value."""
    rows = {row.name: row.value for row in describe(DWI)}
    assert rows["acquisition.thickness_mm"] == 5.0


def test_any_knob_table_or_version_changes_the_hash() -> None:
    """The hash depends on each of its parts."""
    base = hash_config(DWI, {"reach": {"ACA": 1.0}}, "dwi", "1")
    blurred = replace(DWI, anatomy=replace(DWI.anatomy, prior_blur_mm=0.8))
    assert hash_config(blurred, {"reach": {"ACA": 1.0}}, "dwi", "1") != base
    assert hash_config(DWI, {"reach": {"ACA": 1.1}}, "dwi", "1") != base
    assert hash_config(DWI, {"reach": {"ACA": 1.0}}, "dwi", "2") != base


def test_an_unknown_kind_names_the_known_ones() -> None:
    """A typing error is answered with the kinds there are."""
    with pytest.raises(UsageError, match="did you mean dwi"):
        config_hash("dwii")


def test_cache_folders_differ_by_everything_that_decides_the_content(phantom_cache: object) -> None:
    """Another number of cases, size or seed is another folder below the cache."""
    folders = {cohort_cache_dir("dwi", *words) for words in [(3, 64, 0), (4, 64, 0), (3, 65, 0)]}
    assert len(folders | {cohort_cache_dir("dwi", 3, 64, 1)}) == 4
    assert all(str(folder).startswith(str(phantom_cache)) for folder in folders)
