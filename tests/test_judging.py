"""Every claim is judged from the rows of records by one code, on numbers checked by hand."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from strokerepro.errors import InputError, UsageError
from strokerepro.papers import get_recipe
from strokerepro.papers.base import Claim
from strokerepro.papers.predicates import (
    CurveTracks,
    LargeBeatsSmall,
    MeanBelow,
    MetricExceeds,
    PairedDifference,
    Predicate,
    ShareAtMost,
    SmallerGap,
    StageShare,
    TimeRatio,
    VolumeAgreementRises,
)
from strokerepro.records import RunRecord
from strokerepro.report import compare, judge_claims, method_rows, pooled
from strokerepro.report.judging import judge

CASES = "abcdefgh"
NOISE = np.array([0.01, -0.01, 0.02, -0.02, 0.01, -0.01, 0.02, -0.02])  # mean 0
#: Four lesions of 10 px and four of 100 px: the cut is at 55.
SIZES_PX = dict(zip(CASES, [10.0] * 4 + [100.0] * 4, strict=True))


def rows(output: str, values: Sequence[float], metric: str = "dice", **more: Any) -> list[dict]:
    """Test rows of one output, one value for each case in order."""
    return [
        {"case_id": case, "patient_id": case, "split": "test", "output": output,
         "size_truth_px": SIZES_PX[case], metric: float(value), **more}
        for case, value in zip(CASES, values, strict=True)
    ]  # fmt: skip


def record(rows: Sequence[dict], name: str = "main", **changes: Any) -> RunRecord:
    """Record of an experiment with the given rows."""
    content: dict[str, Any] = {
        "slug": "edd_muscle", "name": name, "profile": "quick", "data": "phantom_dwi",
        "fold": 0, "n_folds": 3, "seed": 0, "key": "k", "settings": {}, "splits": {},
        "rows": list(rows), "curves": {}, "timings_s": {}, "facts": {}, "notes": [],
        "created": "2026-01-01", "commit": "c", "code": "c", "versions": {},
        "device": "2-core x86-64", "wall_s": 1.0, "peak_memory_mb": 1.0,
    }  # fmt: skip
    return RunRecord(**{**content, **changes})


def outcome_of(predicate: Predicate, *records: RunRecord) -> tuple[str, str]:
    """Outcome and evidence of one predicate on records of the experiments they name."""
    groups: dict[str, list[RunRecord]] = {}
    for item in records:
        groups.setdefault(item.name, []).append(item)
    return judge(predicate, method_rows(groups), groups)


def two_outputs(difference: Sequence[float] | float, metric: str = "dice") -> RunRecord:
    """``edd`` and ``naive``, which differ by the given values and a noise without mean."""
    naive = np.full(8, 0.5)
    return record(rows("edd", naive + NOISE + difference, metric) + rows("naive", naive, metric))


# ------------------------------------------------------------------ rows


def test_a_method_is_named_by_its_run_and_its_output() -> None:
    """The same output of two experiments is two methods."""
    records = {
        "main": [record(rows("edd", np.ones(8))), record(rows("edd", np.ones(8)), fold=1)],
        "arch_fcn": [record(rows("fcn", np.zeros(8)), name="arch_fcn")],
    }
    table = method_rows(records)
    assert dict(table["method"].value_counts()) == {"main/edd": 16, "arch_fcn/fcn": 8}


def test_lists_of_all_cases_are_pooled_and_rows_without_a_list_are_passed_over() -> None:
    """Sizes 3, 4 and 5 of two cases; an empty list adds nothing; training is not mixed in."""
    content = rows("edd", np.ones(8))
    content[0]["fp_sizes_px"], content[1]["fp_sizes_px"] = [3, 4], [5]
    content[2]["fp_sizes_px"] = []
    content[3] |= {"fp_sizes_px": [99], "split": "train"}
    table = method_rows({"main": [record(content + rows("naive", np.ones(8)))]})
    np.testing.assert_array_equal(pooled(table, "main/edd", "fp_sizes_px"), [3, 4, 5])
    np.testing.assert_array_equal(pooled(table, "main/edd", "fp_sizes_px", "train"), [99])
    assert pooled(table, "main/naive", "fp_sizes_px").size == 0


def test_a_comparison_pairs_methods_of_two_experiments_by_case() -> None:
    """Rows in another order still give the differences 0.1 of every case."""
    first = record(rows("deconvnet", np.arange(8) / 10 + 0.1)[::-1], name="wide")
    second = record(rows("edd", np.arange(8) / 10))
    table = method_rows({"main": [second], "wide": [first]})
    test = compare(table, "wide/deconvnet", "main/edd", "dice")
    assert test.mean_difference == pytest.approx(0.1)
    assert test.sd_difference == pytest.approx(0, abs=1e-12)
    assert test.n == 8
    assert test == compare(table, "wide/deconvnet", "main/edd", "dice")


# ------------------------------------------------------------------ paired differences


@pytest.mark.parametrize(
    ("difference", "expected", "margin", "outcome"),
    [
        (0.1, "increase", None, "confirmed"),
        (0.1, "decrease", None, "opposite"),
        (-0.1, "decrease", None, "confirmed"),
        (-0.1, "increase", None, "opposite"),
        (0.0, "increase", None, "not confirmed"),
        (0.0, "decrease", None, "not confirmed"),
        (0.0, "no difference", 0.02, "confirmed"),
        (0.0, "no difference", 0.001, "not confirmed"),
        (0.1, "no difference", 0.02, "opposite"),
        (-0.1, "no difference", 0.02, "opposite"),
    ],
)
def test_a_paired_difference_is_judged_by_sign_and_by_margin(
    difference: float, expected: Any, margin: float | None, outcome: str
) -> None:
    """A shift of 0.1 with an SD of 0.017 is clear; no shift is within 0.02 but not 0.001."""
    predicate = PairedDifference("main/edd", "main/naive", "dice", expected, margin)
    found, evidence = outcome_of(predicate, two_outputs(difference))
    assert found == outcome
    assert evidence.startswith("dice of main/edd minus main/naive: difference")
    assert ("with a power of 80 %" in evidence) == (outcome == "not confirmed")


@pytest.mark.parametrize(("subset", "mean"), [("small", 0.2), ("large", -0.1), ("all", 0.05)])
def test_a_subset_is_cut_at_the_mean_lesion_size(subset: Any, mean: float) -> None:
    """The four cases below 55 px rise by 0.2 and the four above fall by 0.1."""
    shifted = two_outputs(np.repeat([0.2, -0.1], 4))
    predicate = PairedDifference("main/edd", "main/naive", "dice", "increase", subset=subset)
    outcome, evidence = outcome_of(predicate, shifted)
    assert outcome == {"small": "confirmed", "large": "opposite", "all": "not confirmed"}[subset]
    assert f"difference {mean:+.3g} " in evidence
    assert (f"on {subset}-lesion cases" in evidence) == (subset != "all")
    assert f"n = {8 if subset == 'all' else 4}" in evidence


@pytest.mark.parametrize("subset", ["small", "large"])
def test_a_case_of_exactly_the_mean_size_is_large(subset: Any) -> None:
    """Test sizes 10, 10, 20 and 40 have the mean 20, whatever the size of a training case."""
    content = rows("edd", np.ones(8))[:4] + rows("naive", np.zeros(8))[:4]
    for item, size in zip(content, [10.0, 10.0, 20.0, 40.0] * 2, strict=True):
        item["size_truth_px"] = size
    content.append({**content[0], "case_id": "z", "split": "train", "size_truth_px": 1000.0})
    predicate = PairedDifference("main/edd", "main/naive", "dice", "increase", subset=subset)
    assert outcome_of(predicate, record(content))[1].endswith("n = 2")


def test_cases_without_a_lesion_are_in_neither_subset() -> None:
    """Their lesion size is undefined, and so they do not move the cut."""
    content = two_outputs(0.1).rows
    for item in content:
        if item["case_id"] == "h":
            item["size_truth_px"] = float("nan")
    sizes = {}
    for subset in ("small", "large"):
        predicate = PairedDifference("main/edd", "main/naive", "dice", "increase", subset=subset)
        sizes[subset] = outcome_of(predicate, record(content))[1].rsplit("n = ", 1)[1]
    assert sizes == {"small": "4", "large": "3"}


@pytest.mark.parametrize(("expected", "margin"), [("no difference", None), ("increase", 0.1)])
def test_a_predicted_equality_needs_a_margin_and_nothing_else_has_one(
    expected: Any, margin: float | None
) -> None:
    """Without the margin any fall would have confirmed that there is no difference."""
    with pytest.raises(InputError, match="a margin exactly if"):
        PairedDifference("main/edd", "main/naive", "dice", expected, margin)


def test_a_metric_that_was_not_scored_is_a_usage_error() -> None:
    """A misspelt metric in a claim is not a verdict."""
    predicate = PairedDifference("main/edd", "main/naive", "dise", "increase")
    with pytest.raises(UsageError, match="did you mean dice"):
        outcome_of(predicate, two_outputs(0.1))


# ------------------------------------------------------------------ the other predicates

SMALL, LARGE = np.linspace(0.30, 0.33, 4), np.linspace(0.70, 0.73, 4)
RISING, FALLING = np.concatenate([SMALL, LARGE]), np.concatenate([LARGE, SMALL])


@pytest.mark.parametrize(
    ("first", "second", "outcome"),
    [
        (RISING, RISING, "confirmed"),
        (FALLING, FALLING, "opposite"),
        (RISING, FALLING, "not confirmed"),
        (RISING, np.resize([0.3, 0.7], 8) + np.repeat([0, 0.01], 4), "not confirmed"),
    ],
)
def test_large_beats_small_only_if_it_does_for_every_method(
    first: np.ndarray, second: np.ndarray, outcome: str
) -> None:
    """Four against four without overlap: p = 2 / 70 by counting the arrangements."""
    predicate = LargeBeatsSmall(("main/edd", "main/naive"), "dice")
    found, evidence = outcome_of(predicate, record(rows("edd", first) + rows("naive", second)))
    assert found == outcome
    large, small = first[4:].mean(), first[:4].mean()
    assert f"main/edd {large:.2f} (n = 4) against {small:.2f} (n = 4)" in evidence
    if outcome != "not confirmed":
        assert "largest p = 0.029" in evidence


@pytest.mark.parametrize(
    ("larger", "smaller", "outcome"),
    [
        ("precision", "recall", "confirmed"),
        ("recall", "precision", "opposite"),
        ("dice", "recall", "not confirmed"),
    ],
)
def test_one_metric_exceeds_another_case_by_case(larger: str, smaller: str, outcome: str) -> None:
    """Precision lies 0.1 above recall in each case, and Dice as often above as below."""
    content = rows("edd", np.full(8, 0.5) + NOISE)
    for row, noise in zip(content, NOISE, strict=True):
        row |= {"precision": 0.6 + noise, "recall": 0.5}
    predicate = MetricExceeds("main/edd", larger, smaller)
    found, evidence = outcome_of(predicate, record(content))
    assert found == outcome
    assert evidence.startswith(f"{larger} minus {smaller} of main/edd: difference ")


def fitted(train: float, test: float, name: str = "main", **changes: Any) -> RunRecord:
    """A fold whose 8 training cases score `train`, and 8 others `test`, give or take."""
    noise = np.roll(NOISE, len(name))  # else all differences of two records would be equal
    content = rows("edd", train + noise) + rows("edd", test - noise / 2)
    for number, row in enumerate(content):
        row |= {"case_id": f"c{number}", "split": "train" if number < 8 else "test"}
    return record(content, name, **changes)


@pytest.mark.parametrize(
    ("train", "test", "outcome"),
    [(0.9, 0.5, "confirmed"), (0.7, 0.7, "opposite"), (0.9, 0.695, "not confirmed")],
)
def test_the_smaller_gap_is_judged_by_the_other_methods_rise_from_test_to_training(
    train: float, test: float, outcome: str
) -> None:
    """The first loses 0.2 from training to test cases; the other 0.4, nothing, or as much."""
    other = record(
        [{**row, "dice": (train, test)[row["split"] == "test"]} for row in fitted(0, 0).rows],
        name="none",
    )
    predicate = SmallerGap("main/edd", "none/edd", "dice")
    found, evidence = outcome_of(predicate, fitted(0.8, 0.6), other)
    assert found == outcome
    assert f"{0.8 - train:+.3f} on training cases (n = 8)" in evidence
    assert f"the gap is {abs(train - test - 0.2):.3f}" in evidence


def test_a_gap_is_of_the_folds_that_both_methods_were_trained_on() -> None:
    """In fold 1 of the first the training cases of fold 0 are test cases: it does not count."""
    swapped = [
        {**row, "split": "test" if row["split"] == "train" else "train", "dice": 0.0}
        for row in fitted(0.8, 0.6).rows
    ]
    records = (fitted(0.8, 0.6), record(swapped, fold=1), fitted(0.9, 0.5, "none"))
    _, evidence = outcome_of(SmallerGap("main/edd", "none/edd", "dice"), *records)
    assert "-0.100 on training cases (n = 8)" in evidence


@pytest.mark.parametrize(
    ("rise", "outcome"), [(0.1, "confirmed"), (-0.1, "opposite"), (0.0, "not confirmed")]
)
def test_a_difference_may_be_predicted_of_the_training_cases(rise: float, outcome: str) -> None:
    """On the training cases of the common fold; the test cases say the contrary each time."""
    weak = fitted(0.7 + rise, 0.5 - rise, "weak")
    other_fold = fitted(0.0, 0.0, fold=1)
    predicate = PairedDifference("weak/edd", "main/edd", "dice", "increase", split="train")
    found, evidence = outcome_of(predicate, weak, fitted(0.7, 0.5), other_fold)
    assert found == outcome
    assert "on training cases" in evidence
    assert "n = 8" in evidence


def test_no_claim_is_about_a_subset_of_the_training_cases() -> None:
    """The cut between small and large lesions is one of the test cases."""
    with pytest.raises(InputError, match="a subset small of the training cases"):
        PairedDifference("a/edd", "b/edd", "dice", "increase", subset="small", split="train")


def test_a_gap_without_scores_of_training_cases_is_not_attempted() -> None:
    """The reason says what to score."""
    predicate = SmallerGap("main/edd", "main/naive", "dice")
    with pytest.raises(InputError, match=r"without train cases.*scored_splits"):
        outcome_of(predicate, two_outputs(0.1))


@pytest.mark.parametrize(
    ("limit", "share", "outcome"),
    [(60, 0.75, "confirmed"), (59, 0.75, "not confirmed"), (60, 0.76, "not confirmed")],
)
def test_a_share_counts_sizes_up_to_the_limit(limit: float, share: float, outcome: str) -> None:
    """Three of the sizes 1, 2, 60 and 61 are at most 60, two at most 59."""
    content = rows("edd", np.ones(8))
    content[0]["fp_sizes_px"], content[5]["fp_sizes_px"] = [1, 2, 60], [61]
    predicate = ShareAtMost("main/edd", "fp_sizes_px", limit, share)
    found, evidence = outcome_of(predicate, record(content))
    assert found == outcome
    assert f"{75 if limit == 60 else 50}.0% of 4 are at most {limit}" in evidence


def test_without_any_size_a_share_is_not_confirmed() -> None:
    """No false lesion at all says nothing about their sizes."""
    content = rows("edd", np.ones(8), fp_sizes_px=[])
    found, evidence = outcome_of(ShareAtMost("main/edd", "fp_sizes_px", 60, 0.9), record(content))
    assert found == "not confirmed"
    assert "of 0" in evidence


@pytest.mark.parametrize(
    ("mean", "outcome"), [(0.4, "confirmed"), (0.5, "not confirmed"), (0.6, "opposite")]
)
def test_a_mean_is_below_a_limit_only_if_significantly_so(mean: float, outcome: str) -> None:
    """Eight cases that scatter by 0.02 around the mean, against a limit of 0.5."""
    content = record(rows("naive", mean + NOISE, "fp_overlap"))
    found, evidence = outcome_of(MeanBelow("main/naive", "fp_overlap", 0.5), content)
    assert found == outcome
    assert f"fp_overlap of main/naive: mean {mean:.2f}, against 0.5" in evidence


def test_cases_without_the_number_do_not_enter_a_mean() -> None:
    """Of eight cases two are undefined: six are left."""
    values = 0.4 + NOISE
    values[:2] = np.nan
    content = record(rows("naive", values, "fp_overlap"))
    _, evidence = outcome_of(MeanBelow("main/naive", "fp_overlap", 0.5), content)
    assert "n = 6" in evidence


@pytest.mark.parametrize(("share", "outcome"), [(0.25, "confirmed"), (0.24, "not confirmed")])
def test_a_stages_share_is_the_mean_over_the_folds(share: float, outcome: str) -> None:
    """1 of 8 s and 3 of 8 s are 25 %; the evidence names the hardware."""
    content = rows("edd", np.ones(8))
    folds = [
        record(content, fold=fold, timings_s={"muscle": {"mean": mean}, "total": {"mean": 8.0}})
        for fold, mean in enumerate((1.0, 3.0))
    ]
    found, evidence = outcome_of(StageShare("main", "muscle", share), *folds)
    assert found == outcome
    assert evidence == "muscle takes 25.0% of the time per case (2-core x86-64)"


def timed(*ratios: float) -> list[RunRecord]:
    """Records whose noisy passes take as many times as long as one pass of 2 + 1 s."""
    return [
        record(
            rows("edd", np.ones(8)),
            fold=fold,
            timings_s={"prefix": {"mean": 2.0}, "single": {"mean": 1.0},
                       "uf": {"mean": 3 * ratio - 2.0}},
        )
        for fold, ratio in enumerate(ratios)
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("at_least", "at_most", "outcome"),
    [(2.5, 3.5, "confirmed"), (3.0, 3.0, "confirmed"), (3.1, 4.0, "not confirmed"),
     (1.0, 2.9, "not confirmed")],
)  # fmt: skip
def test_a_ratio_of_times_is_of_summed_stages_and_the_mean_over_the_folds(
    at_least: float, at_most: float, outcome: str
) -> None:
    """Ratios 2 and 4 are 3 on average; the first stage counts on both sides."""
    predicate = TimeRatio("main", ("prefix", "uf"), ("prefix", "single"), at_least, at_most)
    found, evidence = outcome_of(predicate, *timed(2.0, 4.0))
    assert found == outcome
    assert evidence == (
        "prefix + uf takes 3.00 times as long per case as prefix + single (2-core x86-64)"
    )


def test_a_ratio_of_times_that_were_not_taken_is_not_attempted() -> None:
    """The reason names the stage."""
    predicate = TimeRatio("main", ("uf10",), ("single",), 2.5, 3.5)
    verdict = verdict_of((predicate,), {"main": timed(3.0)})
    assert verdict.outcome == "not tested"
    assert "without the time of uf10" in verdict.evidence


UPWARD, DOWNWARD, UNEVEN = [0.1, 0.2, 0.3, 0.4], [0.9, 0.8, 0.7, 0.6], [0.9, 0.6, 0.7, 0.8]


def trained(error: list[float], loss: list[float], fold: int = 0) -> RunRecord:
    """Record of a training whose Dice rises; a validation without Dice comes first."""
    curves = {"val/error": error, "val/loss": loss, "val/dice": UPWARD}
    points = {name: [[10.0 * k, value] for k, value in enumerate(curve, 1)]
              for name, curve in curves.items()}  # fmt: skip
    points["val/loss"].insert(0, [0.0, 9.0])
    return record(rows("edd", np.ones(8)), fold=fold, curves=points)


@pytest.mark.parametrize(
    ("curves", "outcome", "mean"),
    [
        ([(DOWNWARD, UNEVEN)], "confirmed", "val/error -1.00 against val/loss -0.20"),
        ([(DOWNWARD, UPWARD)], "confirmed", "val/error -1.00 against val/loss +1.00"),
        ([(UPWARD, DOWNWARD)], "opposite", "val/error +1.00 against val/loss -1.00"),
        ([(DOWNWARD, UNEVEN), (UPWARD, UNEVEN)], "not confirmed", "val/error +0.00 against"),
        ([(DOWNWARD, UPWARD), (UNEVEN, UPWARD)], "confirmed", "val/error -0.60 against"),
    ],
)
def test_a_curve_tracks_dice_if_it_falls_while_dice_rises_in_every_training(
    curves: list[tuple[list[float], list[float]]], outcome: str, mean: str
) -> None:
    """Ranks 4 1 2 3 against 1 2 3 4 correlate by 1 - 6 * 12 / 60 = -0.2.

    A loss that rises with Dice (+1) does not follow it as a cost, however well it correlates.
    """
    predicate = CurveTracks("main", "val/error", "val/loss", "val/dice")
    records = [trained(*pair, fold=fold) for fold, pair in enumerate(curves)]
    found, evidence = outcome_of(predicate, *records)
    assert found == outcome
    assert evidence.startswith(f"mean rank correlation with val/dice: {mean}")
    assert evidence.endswith(f" of {len(curves)} trainings")


@pytest.mark.parametrize(
    ("error", "said"),
    [([0.9, 0.8], "2 common steps"), ([0.5] * 4, "values that differ"), ([], "0 common steps")],
)
def test_curves_too_short_or_constant_are_not_judged(error: list[float], said: str) -> None:
    """Two points always correlate, and a constant with nothing."""
    predicate = CurveTracks("main", "val/error", "val/loss", "val/dice")
    verdict = verdict_of((predicate,), {"main": [trained(error, DOWNWARD)]})
    assert verdict.outcome == "not tested"
    assert said in verdict.evidence


TRUTH_ML = np.arange(8.0)  # sum of squares about the mean: 42


def volumes(**errors_ml: float) -> RunRecord:
    """Outputs that are off by so many mL, up and down by turns."""
    content = []
    for output, error in errors_ml.items():
        pred = TRUTH_ML + error * np.array([1, -1] * 4)
        part = rows(output, pred, "volume_ml_pred")
        for item, truth in zip(part, TRUTH_ML, strict=True):
            item["volume_ml_truth"] = truth
        content += part
    return record(content)


@pytest.mark.parametrize(
    ("errors_ml", "outcome", "r2"),
    [
        ((2.0, 1.0, 0.0), "confirmed", (0.24, 0.81, 1.00)),
        ((0.0, 1.0, 2.0), "opposite", (1.00, 0.81, 0.24)),
        ((1.0, 2.0, 0.0), "not confirmed", (0.81, 0.24, 1.00)),
        ((1.0, 1.0, 1.0), "not confirmed", (0.81, 0.81, 0.81)),
    ],
)
def test_agreement_of_volumes_must_rise_at_every_step(
    errors_ml: tuple[float, ...], outcome: str, r2: tuple[float, ...]
) -> None:
    """Errors of 1 mL in 8 cases give R2 = 1 - 8 / 42, errors of 2 mL 1 - 32 / 42."""
    names = ("edd", "naive", "uf")
    predicate = VolumeAgreementRises(tuple(f"main/{name}" for name in names))
    found, evidence = outcome_of(predicate, volumes(**dict(zip(names, errors_ml, strict=True))))
    assert found == outcome
    each = ", ".join(f"main/{name} {value:.2f}" for name, value in zip(names, r2, strict=True))
    assert evidence.startswith(f"R2 (identity): {each}; last minus first {r2[2] - r2[0]:+.2f} ")
    assert evidence.endswith("n = 8")


def test_agreement_of_volumes_is_of_the_cases_that_all_methods_share() -> None:
    """A second experiment without the last three cases leaves five."""
    first = volumes(edd=2.0)
    second = record([row for row in volumes(uf=0.0).rows if row["case_id"] < "f"], name="wide")
    predicate = VolumeAgreementRises(("main/edd", "wide/uf"), kind="pearson")
    _, evidence = outcome_of(predicate, first, second)
    assert evidence.endswith("n = 5")
    assert evidence.startswith("R2 (pearson)")


def test_a_predicate_without_a_rule_is_an_error_of_ours() -> None:
    """A new kind of prediction cannot be passed over in silence."""
    with pytest.raises(TypeError, match="no rule to judge a SimpleNamespace"):
        judge(SimpleNamespace(), method_rows({"main": [two_outputs(0.1)]}), {})


# ------------------------------------------------------------------ claims

UP = PairedDifference("main/edd", "main/naive", "dice", "increase")
DOWN = PairedDifference("main/edd", "main/naive", "dice", "decrease")
ABSENT = PairedDifference("main/edd", "arch_fcn/fcn", "dice", "increase")


def verdict_of(
    predicates: tuple[Predicate, ...], records: Mapping[str, Sequence[RunRecord]]
) -> Any:
    """Verdict on one claim that predicts all of these."""
    claim = Claim("C1", "More is better", "Sec. 1", predicates)
    recipe = dataclasses.replace(get_recipe("edd_muscle"), claims=(claim,))
    (verdict,) = judge_claims(recipe, records, status="phantom: trend only")
    return verdict


def test_a_claim_is_confirmed_if_all_its_predictions_are() -> None:
    """The verdict names the claim, its status, and the numbers of both predictions."""
    equal = PairedDifference("main/naive", "main/naive", "dice", "no difference", 0.02)
    verdict = verdict_of((UP, equal), {"main": [two_outputs(0.1)]})
    assert (verdict.claim, verdict.text) == ("C1", "More is better")
    assert (verdict.status, verdict.outcome) == ("phantom: trend only", "confirmed")
    assert verdict.evidence.count("difference ") == 2


@pytest.mark.parametrize(
    ("predicates", "outcome"),
    [
        ((UP,), "confirmed"),
        ((DOWN,), "opposite"),
        ((DOWN, DOWN), "opposite"),
        ((UP, DOWN), "not confirmed"),
    ],
)
def test_predictions_of_mixed_outcome_do_not_confirm_a_claim(
    predicates: tuple[Predicate, ...], outcome: str
) -> None:
    """One that holds and one that does not are neither confirmed nor opposite."""
    assert verdict_of(predicates, {"main": [two_outputs(0.1)]}).outcome == outcome


@pytest.mark.parametrize(
    "records", [{"main": [two_outputs(0.1)]}, {"main": [two_outputs(0.1)], "arch_fcn": []}]
)
def test_a_claim_whose_run_is_missing_is_not_attempted(records: Any) -> None:
    """The reason names the run, also beside a prediction that could be judged."""
    verdict = verdict_of((UP, ABSENT), records)
    assert (verdict.status, verdict.outcome) == ("not attempted", "not tested")
    assert verdict.evidence == "no record of arch_fcn in this profile"


def test_a_claim_about_a_number_that_older_records_lack_is_not_attempted() -> None:
    """The reason names the number and what to do."""
    verdict = verdict_of((MeanBelow("main/edd", "fp_overlap", 0.5),), {"main": [two_outputs(0.1)]})
    assert (verdict.status, verdict.outcome) == ("not attempted", "not tested")
    assert "records of main/edd without fp_overlap" in verdict.evidence
    assert "--force" in verdict.evidence


def test_without_any_record_no_claim_is_attempted() -> None:
    """A reader without results sees every claim of the paper and that none was tested."""
    recipe = get_recipe("edd_muscle")
    verdicts = judge_claims(recipe, {}, status="same data")
    assert [verdict.claim for verdict in verdicts] == [claim.name for claim in recipe.claims]
    assert {verdict.outcome for verdict in verdicts} == {"not tested"}


def test_every_claim_of_every_kind_names_the_runs_it_needs() -> None:
    """Each run once, in the order of the predictions."""
    claim = Claim(
        "C1", "t", "w",
        (ABSENT, LargeBeatsSmall(("main/edd", "arch_unet/unet"), "dice"),
         ShareAtMost("wide/edd", "fp_sizes_px", 1, 1), StageShare("fast", "muscle", 1),
         MeanBelow("deep/naive", "fp_overlap", 1), CurveTracks("loss", "a", "b", "c"),
         TimeRatio("time", ("a",), ("b",), 1, 2), VolumeAgreementRises(("x/edd", "y/uf")),
         MetricExceeds("wider/edd", "precision", "recall"), SmallerGap("p/edd", "q/edd", "dice")),
    )  # fmt: skip
    assert claim.runs == (
        "main",
        "arch_fcn",
        "arch_unet",
        "wide",
        "fast",
        "deep",
        "loss",
        "time",
        "x",
        "y",
        "wider",
        "p",
        "q",
    )
