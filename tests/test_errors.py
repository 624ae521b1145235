"""Errors are one line that says what was got, what was expected, and what to do now."""

from __future__ import annotations

import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strokerepro.errors import InputError, UsageError


def test_an_error_reads_got_expected_fix() -> None:
    """The three parts stand in this order and stay available one by one."""
    error = InputError("a.nii of 3 bytes", "an image", "fetch it again")
    assert str(error) == "got a.nii of 3 bytes; expected an image; fix: fetch it again"
    assert (error.got, error.expected, error.fix) == (
        "a.nii of 3 bytes", "an image", "fetch it again",
    )  # fmt: skip


@given(st.tuples(st.text(), st.text(), st.text()))
def test_an_error_is_one_line_whatever_it_quotes(parts: tuple[str, str, str]) -> None:
    """Newlines of a file name or of a library's message never split it."""
    assert len(str(InputError(*parts)).splitlines()) == 1


def test_whitespace_of_a_quoted_message_is_folded() -> None:
    """A message of several indented lines becomes words with single spaces."""
    assert InputError("a\n\t b\r\n  c", "d", "e").got == "a b c"


def test_wrong_input_and_wrong_use_have_different_exit_codes() -> None:
    """1 for what was read, 2 for how the command was called; both are caught together."""
    assert InputError.exit_code == 1
    assert UsageError.exit_code == 2
    with pytest.raises(InputError):
        raise UsageError("a", "b", "c")
    assert issubclass(InputError, ValueError)


@pytest.mark.parametrize(
    ("name", "fix"),
    [
        ("edd_muscel", "did you mean edd_muscle?"),
        ("quik", "did you mean quick?"),
        ("flair_1", "did you mean flair_2 or flair?"),
        ("zzz", "choose one of them"),
        ("", "choose one of them"),
    ],
)
def test_an_unknown_name_lists_the_known_and_suggests_the_nearest(name: str, fix: str) -> None:
    """All known names in order; a suggestion only where one is near."""
    known = ["quick", "edd_muscle", "flair", "flair_2"]
    error = UsageError.unknown("thing", name, iter(known))
    assert error.got == f"unknown thing {name!r}"
    assert error.expected == "one of edd_muscle, flair, flair_2, quick"
    assert error.fix == fix


def test_at_most_three_names_are_suggested() -> None:
    """Ten names that are equally near do not make a line of ten."""
    error = UsageError.unknown("fold", "fold_x", [f"fold_{n}" for n in range(10)])
    assert error.fix.count("fold_") == 3


def test_an_error_survives_the_way_from_a_worker_process() -> None:
    """Pickled and read back it has the same line and exit code."""
    error = pickle.loads(pickle.dumps(UsageError("a", "b", "c")))
    assert str(error) == "got a; expected b; fix: c"
    assert error.exit_code == 2
