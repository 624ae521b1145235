"""Errors that a person outside the code can act on: one line, got / expected / fix."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class InputError(ValueError):
    """Bad input from outside: a file, a folder, a record, a value in a manifest.

    Parameters
    ----------
    got
        What was found, with the file's name where there is one.
    expected
        What would have been right.
    fix
        What the reader can do now, preferably a command.
    """

    exit_code = 1

    def __init__(self, got: str, expected: str, fix: str) -> None:
        self.got, self.expected, self.fix = (
            " ".join(part.split()) for part in (got, expected, fix)
        )
        super().__init__(f"got {self.got}; expected {self.expected}; fix: {self.fix}")

    def __reduce__(self) -> tuple[type[InputError], tuple[str, str, str]]:
        """Let the error travel from a worker process with its three parts."""
        return type(self), (self.got, self.expected, self.fix)


class UsageError(InputError):
    """Wrong use: an unknown name, an option that does not exist, a value out of range."""

    exit_code = 2

    @classmethod
    def unknown(cls, kind: str, name: str, known: Iterable[str]) -> UsageError:
        """Report an unknown name with the nearest known ones.

        Parameters
        ----------
        kind
            What the name stands for, such as ``"recipe"``.
        name
            The name that was given.
        known
            All names that would have been right.
        """
        names = sorted(known)
        nearest = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
        fix = f"did you mean {' or '.join(nearest)}?" if nearest else "choose one of them"
        return cls(f"unknown {kind} {name!r}", f"one of {', '.join(names)}", fix)
