"""Causes are switched one at a time, and what an image knows is measured on other patients."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from strokerepro.experiment import ctp_seeds, information_content
from strokerepro.experiment.ctp_reference import REFERENCES
from strokerepro.experiment.information_content import (
    information_table,
    inputs_table,
    write_information,
)
from strokerepro.experiment.information_variants import shifted, variants
from strokerepro.experiment.information_voxels import Voxels, case_in_memory
from strokerepro.phantom.anatomy import Grid
from strokerepro.phantom.config import describe
from strokerepro.phantom.ctp import CtpCase
from strokerepro.phantom.ctp_config import CTP, CtpConfig

SHAPE = (24, 20, 2)
SPACING_MM = (1.7, 1.7, 12.0)


def knobs(config: CtpConfig) -> dict[str, Any]:
    """All knobs by name."""
    return {row.name: row.value for row in describe(config)}


def changed(config: CtpConfig) -> set[str]:
    """Names of the knobs that differ from the frozen ones."""
    frozen = knobs(CTP)
    return {name for name, value in knobs(config).items() if value != frozen[name]}


CAUSES = {
    "threshold": "fate.threshold",
    "reperfusion": "occlusion.reperfusion_share",
    "vulnerability": "fate.vulnerability",
    "misregistration": "timing.shift_sd_mm",
    "noise": "perfusion.scan.noise_hu",
    "oedema": "head.oedema_hu",
}


def test_every_variant_switches_one_cause_and_the_last_all_of_them() -> None:
    """A difference between two variants has one cause."""
    made = {name: config for name, (_, config) in variants(CTP).items()}
    assert list(made) == ["base", *CAUSES, "all"]
    assert changed(made["base"]) == set()
    assert {name: changed(made[name]) for name in CAUSES} == {k: {v} for k, v in CAUSES.items()}
    assert changed(made["all"]) == set(CAUSES.values())


def test_a_switched_threshold_keeps_its_median() -> None:
    """The spread between patients goes, the typical patient stays."""
    (_, config) = variants(CTP)["threshold"]
    assert config.fate.threshold == (CTP.fate.threshold[0], 0.0)


def test_a_shift_moves_most_knobs_within_its_share_and_no_constant() -> None:
    """Every factor is told, all entries of a knob share it, and constants and counts stay."""
    config, factors = shifted(CTP, 0.3, np.random.default_rng(0))
    before, after = knobs(CTP), knobs(config)
    assert changed(config) <= set(factors)
    assert len(factors) > 80
    assert all(0.7 <= factor <= 1.3 for factor in factors.values())
    assert np.ptp(list(factors.values())) > 0.5
    for name, factor in factors.items():
        np.testing.assert_allclose(after[name], np.multiply(before[name], factor))
    for row in describe(CTP):
        if row.source == "physics" or isinstance(row.value, int):
            assert after[row.name] == row.value
    assert config.anatomy == CTP.anatomy
    assert config.slab == CTP.slab


def test_a_shift_is_that_of_its_seed() -> None:
    """The published factors can be had again."""
    first, again, other = (shifted(CTP, 0.3, np.random.default_rng(s))[1] for s in (1, 1, 2))
    assert first == again
    assert first != other


def a_made_case(case: int, *, config: CtpConfig, **_: Any) -> CtpCase:
    """Make a case whose DWI shows the lesion and whose maps do not, unless all causes are off."""
    rng = np.random.default_rng(case)
    brain = np.zeros(SHAPE, bool)
    brain[2:-2, 2:-2] = True
    lesion = np.zeros(SHAPE, bool)
    x, y = rng.integers(4, 12, 2)
    lesion[x : x + 5, y : y + 5] = True
    seen = lesion if config == variants(CTP)["all"][1] else np.roll(lesion[::-1], 3, axis=1)
    noise = rng.random(SHAPE)
    maps = {
        "cbf": np.where(seen, 60, 300) + 10 * noise,
        "cbv": np.where(seen, 10, 30) + noise,
        "mtt_s": np.where(seen, 12, 5) + noise,
        "tmax_s": np.where(seen, 9, 2) + noise,
    }
    types = {"cbf": np.uint16, "cbv": np.uint16, "mtt_s": np.float32, "tmax_s": np.float32}
    return CtpCase(
        grid=Grid(SHAPE, np.diag([*SPACING_MM, 1.0])),
        ct=np.where(brain, 35 + 3 * noise, -1000).astype(np.int16),
        series=np.zeros((*SHAPE, 2), np.int16),
        dt_s=1.0,
        dwi=np.where(brain, 100 + 100 * lesion + 20 * noise, 5).astype(np.int16),
        label=lesion.astype(np.uint8),
        facts={"patient": case},
        **{name: np.where(brain, image, 0).astype(types[name]) for name, image in maps.items()},
    )


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What is written for twelve drawn cases."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(information_content, "make_ctp_case", a_made_case)
        patch.setattr(information_content, "_RESAMPLES", 20)
        path = write_information(tmp_path_factory.mktemp("out"), cases=range(1, 13), size_px=24)
    assert (path.parent.name, path.name) == ("phantom_ctp", "information.json")
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def test_a_case_in_memory_is_turned_like_one_on_disk() -> None:
    """Axes, spacing and mask are those that the loader gives."""
    made = a_made_case(3, config=CTP)
    case = case_in_memory(3, made)
    assert case.shape == SHAPE[::-1]
    assert case.spacing_mm == pytest.approx(SPACING_MM[::-1])
    assert case.arrays["cbf"][1, 5, 7] == made.cbf[7, 5, 1]
    np.testing.assert_array_equal(case.label, made.label.T)


def test_the_image_that_shows_the_lesion_knows_it(found: dict[str, Any]) -> None:
    """DWI scores high everywhere; the maps only where they show the lesion too."""
    rows = {row["name"]: row for row in found["variants"]}
    assert list(rows) == ["base", *CAUSES, "all", "shifted"]
    assert min(row["dwi"]["value"] for row in rows.values()) > 0.95
    assert rows["base"]["maps"]["value"] < 0.5
    assert rows["all"]["maps"]["value"] > 0.95
    assert rows["base"]["gap"]["value"] > 0.4
    assert rows["all"]["gap"]["value"] == pytest.approx(0, abs=0.05)


def test_marginals_of_several_seeds_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every cohort has its seed and its own verdicts; the fitted ones are marked."""

    def of_seed(case: int, *, seed: int, config: CtpConfig, **_: Any) -> CtpCase:
        return a_made_case(100 * seed + case, config=config)

    monkeypatch.setattr(ctp_seeds, "make_ctp_case", of_seed)
    found = json.loads(ctp_seeds.write_seeds(tmp_path, seeds=(2, 3), cases=3).read_text())
    table = ctp_seeds.seeds_table(found)
    assert [cohort["seed"] for cohort in found["cohorts"]] == [2, 3]
    assert found["fitted_seeds"] == [2]
    assert set(table["quantity"]) == set(REFERENCES)
    means = table.set_index(["seed", "quantity"])["KS"]
    assert means.notna().all()
    first, second = (cohort["quantities"]["dice_rcbf30"]["mean"] for cohort in found["cohorts"])
    assert first != second


def test_no_patient_is_predicted_from_himself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two slabs of a patient fall into the same fold."""

    class Remembers:
        def __init__(self, features: np.ndarray) -> None:
            self.seen = set(features[:, 0])

        def predict_proba(self, features: np.ndarray) -> np.ndarray:
            assert not self.seen & set(features[:, 0])
            return np.random.default_rng(0).random((len(features), 2))

    monkeypatch.setattr(information_content, "_fitted", lambda rows, _: Remembers(rows))
    patients = [1, 1, 2, 3, 3, 4, 5, 6]
    rows = {name: np.ones((20, 1), np.float32) for name in ("maps", "dwi")}
    voxels = [
        Voxels(n, {k: n * v for k, v in rows.items()}, np.arange(20) < 5, {}) for n in patients
    ]
    scores = information_content._scores(voxels, information_content._INPUTS, seed=0)
    assert 0 < scores["maps"]["value"] < 1


def test_scores_lie_in_their_intervals_and_the_gap_is_their_difference(
    found: dict[str, Any],
) -> None:
    """The gap is measured on the same patients, so its interval is its own."""
    for row in found["variants"]:
        assert row["gap"]["value"] == pytest.approx(
            row["dwi"]["value"] - row["maps"]["value"], abs=2e-4
        )
        for name in ("maps", "dwi", "gap"):
            low, high = row[name]["interval"]
            assert low <= high


def test_an_input_of_two_images_is_scored_on_the_base_only(found: dict[str, Any]) -> None:
    """Plain CT and maps with CT are told for the phantom as it is."""
    assert set(found["inputs"]) == {"maps", "dwi", "ct", "maps + ct"}
    assert found["inputs"]["maps"] == found["variants"][0]["maps"]


def test_tables_have_a_row_each_and_what_they_rest_on_is_kept(found: dict[str, Any]) -> None:
    """The page needs nothing but the file."""
    assert len(information_table(found)) == 9
    assert len(inputs_table(found)) == 4
    assert found["cases"] == list(range(1, 13))
    assert len(found["config_hash"]) == 64
    assert found["shift"]["largest"] == 0.3
