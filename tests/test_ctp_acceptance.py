"""Marginals are measured on masks drawn by hand and compared with the published figures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from smir_cohort import find_smir, smir_images, write_smir, write_smir_cohort

from strokerepro.cohort import Case, load_cohort
from strokerepro.errors import InputError
from strokerepro.experiment.ctp_acceptance import (
    compare,
    ctp_acceptance,
    ctp_acceptance_table,
    measure_case,
)
from strokerepro.experiment.ctp_reference import (
    PERCENTILES,
    REFERENCES,
    Reference,
    largest_gap,
)

SHAPE = (1, 20, 20)
SPACING_MM = (10.0, 10.0, 10.0)  # a voxel is one millilitre


def a_case(*, label: bool = True) -> Case:
    """Brain of 400 ml; lesion 20 ml, core by rule 20 ml of which 10 lie in it, Tmax > 6 in 40."""
    maps = {name: np.full(SHAPE, 1.0, np.float32) for name in ("ct", "cbv", "mtt")}
    cbf, tmax = np.full(SHAPE, 100, np.float32), np.full(SHAPE, 2, np.float32)
    lesion = np.zeros(SHAPE, np.uint8)
    lesion[0, 0:2, 0:10] = 1
    cbf[0, 1:3, 0:10] = 29
    tmax[0, 1:5, 0:10] = 7
    tmax[0, 2, 0:5] = 5  # of the core by rule, outside the Tmax region
    arrays = {**maps, "cbf": cbf, "tmax": tmax}
    return Case("case_1", "p", arrays, np.eye(4), SPACING_MM, lesion if label else None)


def test_volumes_and_overlaps_of_a_drawn_case() -> None:
    """Every figure is counted by hand from the drawing."""
    found = measure_case(a_case())
    assert found == {
        "case": "case_1",
        "lesion_ml": 20.0,
        "tmax6_ml": 35.0,
        "core_ml": 20.0,
        "core_gated_ml": 15.0,
        "lesion_share_percent": 5.0,
        "dice_rcbf30": pytest.approx(2 * 10 / 40),
        "dice_rcbf30_gated": pytest.approx(2 * 10 / 35),
        "dice_tmax6": pytest.approx(2 * 10 / 55),
    }


def test_a_case_without_a_mask_is_refused() -> None:
    """The test set has none, so nothing can be compared."""
    with pytest.raises(InputError, match="case_1 without a lesion mask"):
        measure_case(a_case(label=False))


LINE = Reference((0.0, 1.0), (0.0, 10.0), 5.0, complete=True)
THREE = Reference((0.25, 0.5, 0.75), (2.5, 5.0, 7.5), None, complete=False)


@pytest.mark.parametrize(
    ("sample", "reference", "gap"),
    [
        ([5.0], LINE, 0.5),  # one step from 0 to 1 in the middle of a straight line
        ([0.0], LINE, 1.0),
        ([2.5, 7.5], LINE, 0.25),
        ([20.0, 30.0], LINE, 1.0),
        ([0, 0, 10, 10], LINE, 0.5),
        ([2.5, 5.0, 7.5, 9.0], THREE, 0.0),
        ([0.0, 0.0, 0.0, 9.0], THREE, 0.5),  # 0.75 of the sample at or below 2.5
    ],
)
def test_the_largest_gap_is_that_of_the_drawing(
    sample: list[float], reference: Reference, gap: float
) -> None:
    """Distances that can be read off two cumulative curves."""
    assert largest_gap(np.array(sample), reference) == pytest.approx(gap)


def test_a_share_of_zeros_is_a_step_and_no_gap() -> None:
    """22 of 94 real cases have a Dice of exactly 0; the same share in a sample is no distance."""
    reference = REFERENCES["dice_rcbf30"]
    zeros = round(1000 * 22 / 94)
    rest = np.interp(np.linspace(22 / 94, 1, 1000 - zeros), reference.levels, reference.values)
    sample = np.concatenate([np.zeros(zeros), rest])
    assert largest_gap(sample, reference) < 0.01
    assert largest_gap(np.append(sample, np.zeros(1000)), reference) == pytest.approx(
        0.38, abs=0.01
    )


@pytest.mark.parametrize("name", REFERENCES)
def test_the_published_figures_are_ascending_shares(name: str) -> None:
    """Quantiles that are out of order would be a misprint of ours."""
    reference = REFERENCES[name]
    assert list(reference.levels) == sorted(reference.levels)
    assert list(reference.values) == sorted(reference.values)
    assert len(reference.percentiles()) == len(PERCENTILES)


def like_the_real_ones(factor: float = 1.0, cases: int = 94) -> pd.DataFrame:
    """Return cases with the real quantiles in every quantity, times a factor."""
    levels = (np.arange(cases) + 0.5) / cases
    columns = {
        name: factor * np.interp(levels, real.levels, real.values)
        for name, real in REFERENCES.items()
    }
    return pd.DataFrame({"case": [f"case_{n}" for n in range(cases)], **columns})


def test_a_cohort_like_the_real_one_is_accepted_and_a_scaled_one_is_not() -> None:
    """The verdict follows distance and mean, both with the gate and without."""
    good = compare(like_the_real_ones())
    assert good["accepted_gated"]
    assert good["accepted_ungated"]
    assert max(row["ks"] for row in good["quantities"].values()) < 0.06
    scaled = compare(like_the_real_ones(1.5))
    assert not scaled["accepted_gated"]
    assert scaled["quantities"]["lesion_ml"]["mean_ratio"] == pytest.approx(1.5, abs=0.06)
    assert not scaled["quantities"]["lesion_ml"]["accepted"]


def test_one_bad_quantity_spoils_the_verdict_of_its_rule_only() -> None:
    """A core that fits with the gate only is said to fit with the gate only."""
    cases = like_the_real_ones()
    found = compare(cases.assign(core_ml=3 * cases["core_ml"]))
    assert found["accepted_gated"]
    assert not found["accepted_ungated"]


def test_what_the_phantom_was_not_set_on_is_judged_but_does_not_decide() -> None:
    """The overlap of the Tmax region is shown with its own verdict."""
    cases = like_the_real_ones()
    found = compare(cases.assign(dice_tmax6=1.5 * cases["dice_tmax6"]))
    assert not found["quantities"]["dice_tmax6"]["accepted"]
    assert not found["quantities"]["dice_tmax6"]["fitted"]
    assert found["accepted_gated"]


def test_figures_of_which_only_percentiles_are_published_say_so() -> None:
    """Their distance is a lower bound and they have no mean to compare with."""
    row = compare(like_the_real_ones())["quantities"]["tmax6_ml"]
    assert (row["ks_is_lower_bound"], row["mean_ratio"]) == (True, None)
    table = ctp_acceptance_table(compare(like_the_real_ones()))
    assert table.set_index("quantity").loc["Tmax > 6 s, ml", "KS"].startswith("≥ ")
    assert table.set_index("quantity").loc["lesion, ml", "5/25/50/75/95 %"].count("/") == 4


def test_an_empty_lesion_does_not_enter_ratios_and_overlaps() -> None:
    """Its Dice is not defined; it counts as a volume of zero."""
    cases = like_the_real_ones()
    cases.loc[0, "lesion_ml"] = 0.0
    cases.loc[0, ["dice_rcbf30", "dice_rcbf30_gated", "dice_tmax6"]] = np.nan
    found = compare(cases)
    assert found["quantities"]["dice_tmax6"]["n"] == 93
    assert found["quantities"]["lesion_ml"]["n"] == 94
    assert np.isfinite(found["correlations"]["core_ml"]["found"])


def test_a_cohort_on_disk_is_measured_and_fits_into_json(tmp_path: Path) -> None:
    """Any folder in the layout of ISLES 2018 will do; the spacing decides the volumes."""
    root = write_smir_cohort(tmp_path, cases=3)
    cbf = smir_images((2, 20, 18), seed=2)["CBF"]
    write_smir(find_smir(root, 2, "CT_CBF"), np.where(cbf > 0, 300, 0).astype(np.uint16))
    found = ctp_acceptance(load_cohort("isles2018", root))
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    rows = pd.DataFrame(found["per_case"]).set_index("case")
    voxel_ml = 12.0 * 0.8203 * 0.8203 / 1000
    assert rows.loc["case_1", "lesion_ml"] == pytest.approx(2 * 6 * 4 * voxel_ml, abs=1e-3)
    assert rows.loc["case_2", "core_ml"] == 0.0
    assert found["empty_core_share"]["found"] == 1.0  # no cluster reaches 1 ml
