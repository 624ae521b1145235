"""The embedded cohort: simulated patients, written in the layouts of the real archives.

Everything is drawn from named random streams and fixed knobs, so that a seed decides every voxel.
The knobs are set on published marginals of real data, never on a network's score.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from strokerepro.errors import UsageError
from strokerepro.files import cache_root
from strokerepro.phantom.config import hash_config
from strokerepro.phantom.ctp_config import CTP
from strokerepro.phantom.ctp_layout import ctp_plan
from strokerepro.phantom.ctp_occlusion import SITE_TERRITORIES
from strokerepro.phantom.ctp_ranks import RANKED
from strokerepro.phantom.ctp_vessels import ARTERIES, SINUSES
from strokerepro.phantom.dwi_config import DWI
from strokerepro.phantom.dwi_layout import dwi_plan
from strokerepro.phantom.dwi_tissue import TRACTS
from strokerepro.phantom.perfusion.units import CONSTANTS
from strokerepro.phantom.susceptibility import CAVITIES
from strokerepro.phantom.territories import FEEDING_POINTS, REACH
from strokerepro.phantom.writing import CohortPlan, verify_hashes, write_cohort

__all__ = [
    "KINDS",
    "VERSIONS",
    "cohort_cache_dir",
    "config_hash",
    "make_cohort",
    "verify_hashes",
]

# Raise a kind's number together with any change that alters one of its voxels; records carry it.
VERSIONS = {"dwi": "2", "ctp": "2"}

_CONFIGS: dict[str, Any] = {"dwi": DWI, "ctp": CTP}
_TABLES = {
    "dwi": {
        "feeding_points": FEEDING_POINTS,
        "reach": REACH,
        "cavities": CAVITIES,
        "tracts": TRACTS,
    },
    "ctp": {
        "feeding_points": FEEDING_POINTS,
        "reach": REACH,
        "cavities": CAVITIES,
        "tracts": TRACTS,
        "sites": SITE_TERRITORIES,
        "arteries": ARTERIES,
        "sinuses": SINUSES,
        "constants": CONSTANTS,
        "ranked": RANKED,
    },
}
_PLANS: dict[str, Callable[..., CohortPlan]] = {"dwi": dwi_plan, "ctp": ctp_plan}
KINDS = tuple(_CONFIGS)
_SMALLEST_PX = 32


def make_cohort(
    kind: str,
    out: Path,
    *,
    cases: int,
    size_px: int,
    seed: int,
    progress: Callable[..., None] | None = None,
) -> Path:
    """Write a synthetic cohort, or complete one whose writing was interrupted.

    Parameters
    ----------
    kind
        One of :data:`KINDS`.
    out
        Cohort folder; empty, missing, or an earlier part of the same cohort.
    cases
        Number of subjects, one examination each.
    size_px
        Largest in-plane matrix. For ``"dwi"``: 192 or more gives the real mixture of 128 px at
        1.8 mm and 192 px at 1.4 mm, 128 to 191 gives 128 px at 1.8 mm, less gives fewer and
        coarser pixels over 230.4 mm. For ``"ctp"``: 256 is the real matrix; fewer pixels cover
        the same field.
    seed
        Root seed, not negative; it decides every voxel.
    progress
        Called with (cases done, cases in all) after each case.

    Returns
    -------
    Path
        `out`, complete.

    Raises
    ------
    UsageError
        For an unknown kind or a number out of range.
    InputError
        When `out` cannot be written or holds something else.
    """
    for name, value, least in (
        ("cases", cases, 1),
        ("size_px", size_px, _SMALLEST_PX),
        ("seed", seed, 0),
    ):
        if value < least:
            raise UsageError(f"{name} {value}", f"{name} of at least {least}", f"raise {name}")
    identity = {
        "kind": _known(kind),
        "version": VERSIONS[kind],
        "config_sha256": config_hash(kind),
        "cases": cases,
        "size_px": size_px,
        "seed": seed,
    }
    plan = _PLANS[kind](identity=identity, size_px=size_px, seed=seed, config=_CONFIGS[kind])
    return write_cohort(plan, Path(out), progress)


def config_hash(kind: str) -> str:
    """SHA-256 of the knobs and the version of one kind of phantom."""
    return hash_config(_CONFIGS[_known(kind)], _TABLES[kind], kind, VERSIONS[kind])


def cohort_cache_dir(kind: str, cases: int, size_px: int, seed: int) -> Path:
    """Folder of the user's cache where this cohort belongs; not created here."""
    name = f"{kind}-v{VERSIONS[_known(kind)]}-{config_hash(kind)[:12]}-n{cases}-px{size_px}-s{seed}"
    return cache_root() / "phantom" / name


def _known(kind: str) -> str:
    if kind not in _CONFIGS:
        raise UsageError.unknown("phantom kind", kind, KINDS)
    return kind
