"""One cache and one tiny cohort for all phantom tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from strokerepro.phantom import make_cohort
from strokerepro.phantom.atlas import Atlas, load_atlas
from strokerepro.phantom.dwi_config import DWI

TINY = {"cases": 6, "size_px": 48, "seed": 7}


@pytest.fixture(scope="session", autouse=True)
def phantom_cache(request: pytest.FixtureRequest) -> Iterator[Path]:
    """Cache folder that outlives the test run, so that the atlas is built once."""
    folder = Path(request.config.cache.mkdir("strokerepro-phantom"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STROKEREPRO_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="session")
def atlas(phantom_cache: Path) -> Atlas:
    """The atlas of the frozen configuration."""
    return load_atlas(DWI.anatomy)


@pytest.fixture(scope="session")
def tiny_root(tmp_path_factory: pytest.TempPathFactory, phantom_cache: Path) -> Path:
    """Six small subjects on disk; tests must not change them."""
    return make_cohort("dwi", tmp_path_factory.mktemp("tiny") / "cohort", **TINY)
