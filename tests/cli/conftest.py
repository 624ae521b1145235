"""What the tests of the command line share: calling it, a small cohort, masks on disk."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from strokerepro.cli import main


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run the command line and return exit code, standard output and standard error."""

    def call(*words: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as caught:
            main([str(word) for word in words])
        printed = capsys.readouterr()
        return int(caught.value.code or 0), printed.out, printed.err

    return call


@pytest.fixture(scope="module")
def cohort(write_cohort: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nine cases in the layout of ISLES 2022; tests must not change them."""
    return write_cohort(tmp_path_factory.mktemp("cohort"), cases=9)
