"""Tables, paired tests and verdicts on numbers small enough to check by hand."""

from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from strokerepro.errors import InputError, UsageError
from strokerepro.metrics import SENTINEL_MM
from strokerepro.report import (
    PairedTest,
    Verdict,
    holm,
    judge_difference,
    load_published,
    method_table,
    paired_power,
    paired_test,
    paired_values,
    paper_vs_ours,
    provenance_table,
    record_rows,
    subgroup_table,
    verdict_table,
)

NAN = float("nan")
CLAIM = SimpleNamespace(name="C1", text="More is better.")


def generator():
    """Fresh generator, so that every test draws the same bootstrap samples."""
    return np.random.default_rng(0)


def row(case, output, dice, split="test", **scores):
    """One per-case row, as a record holds it."""
    return {"case_id": case, "output": output, "split": split, "dice": dice, **scores}


def record(rows, name="main", data="phantom_dwi", seed=0):
    """Something with the attributes of a run record."""
    return SimpleNamespace(rows=rows, name=name, fold=0, seed=seed, profile="quick", data=data)


# ------------------------------------------------------------------ paired tests


def test_a_paired_test_by_hand():
    """Differences 1 2 3 have mean 2, SD 1 and t = 2 sqrt(3); a NaN pair is dropped and counted."""
    result = paired_test([2, 4, 6, NAN], [1, 2, 3, 4], generator=generator())
    assert (result.n, result.n_dropped) == (3, 1)
    assert result.mean_difference == pytest.approx(2)
    assert result.sd_difference == pytest.approx(1)
    assert result.t == pytest.approx(2 * math.sqrt(3))
    assert result.p_t == pytest.approx(stats.ttest_rel([2, 4, 6], [1, 2, 3]).pvalue)
    assert result.p_wilcoxon == pytest.approx(0.25)  # all 3 of 2^3 signs, two-sided
    assert 1 <= result.ci_low < 2 < result.ci_high <= 3
    assert "n = 3 (1 undefined)" in str(result)


def test_the_bootstrap_follows_the_generator():
    """The same generator gives the same interval, another one another."""
    values = np.random.default_rng(5).normal(size=(2, 40))
    first, again = (paired_test(*values, generator=generator()) for _ in range(2))
    other = paired_test(*values, generator=np.random.default_rng(1))
    assert first == again
    assert first.ci_low != other.ci_low


def test_the_bootstrap_interval_is_near_the_normal_one():
    """For 400 differences it is the mean plus or minus 1.96 standard errors, to a few percent."""
    difference = np.random.default_rng(3).normal(0.03, 0.146, 400)
    result = paired_test(difference, np.zeros(400), generator=generator())
    half = 1.96 * result.sd_difference / 20
    assert result.ci_low == pytest.approx(result.mean_difference - half, abs=0.1 * half)
    assert result.ci_high == pytest.approx(result.mean_difference + half, abs=0.1 * half)


@pytest.mark.parametrize(("shift", "p", "t"), [(0.0, 1.0, 0.0), (0.5, 0.0, math.inf)])
def test_equal_differences_need_no_spread(shift, p, t):
    """Two identical methods give p = 1; a constant shift gives p = 0 and no interval width."""
    result = paired_test(np.arange(4) + shift, np.arange(4), generator=generator())
    assert (result.p_t, result.t) == (p, t)
    assert (result.ci_low, result.ci_high, result.sd_difference) == (shift, shift, 0)
    assert result.detectable_difference == 0


def test_too_few_pairs_are_refused():
    """One defined pair, or different numbers of cases, make no test."""
    with pytest.raises(InputError, match="1 defined pairs"):
        paired_test([1, NAN], [0, 0], generator=generator())
    with pytest.raises(InputError, match="one value per case"):
        paired_test([1, 2], [0], generator=generator())


def test_power_of_the_gap_between_u_net_and_deconvnet():
    """A Dice gap of .03 with an SD of .146: power about .62 with 122 subjects, .90 with 247."""
    assert paired_power(0.03, 0.146, 122) == pytest.approx(0.62, abs=0.01)
    assert paired_power(0.03, 0.146, 247) == pytest.approx(0.90, abs=0.01)
    assert paired_power(0.0, 1.0, 30) == 0.05
    assert paired_power(-1e-6, 1.0, 30) == pytest.approx(0.05)
    assert paired_power(100.0, 1.0, 400) == pytest.approx(1.0)


def test_power_is_how_often_the_test_rejects():
    """Of 4000 simulated experiments with 8 pairs, the share with p < .05 is the power."""
    samples = np.random.default_rng(4).normal(0.9, 1.0, (4000, 8))
    rejected = (stats.ttest_1samp(samples, 0, axis=1).pvalue < 0.05).mean()
    assert paired_power(0.9, 1.0, 8) == pytest.approx(rejected, abs=0.025)


def test_the_detectable_difference_has_a_power_of_80_percent():
    """It inverts the power, whatever the spread."""
    result = paired_test(np.random.default_rng(2).normal(0, 3, 25), np.zeros(25),
                         generator=generator())  # fmt: skip
    detectable = result.detectable_difference
    assert paired_power(detectable, result.sd_difference, 25) == pytest.approx(0.8)
    assert "25 pairs" in result.power_note


def test_holm_by_hand():
    """.01 .04 .03 .005 become .03 .06 .06 .02: times 4, 3, 2, 1 in order, never decreasing."""
    np.testing.assert_allclose(holm([0.01, 0.04, 0.03, 0.005]), [0.03, 0.06, 0.06, 0.02])
    np.testing.assert_allclose(holm([0.9, 0.8]), [1, 1])
    assert holm([]).size == 0
    with pytest.raises(InputError, match="not in"):
        holm([0.5, NAN])


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_holm_lies_between_no_correction_and_bonferroni(p):
    """Adjusted values keep the order, are no smaller than p and no larger than m p."""
    adjusted = holm(p)
    assert (adjusted >= np.array(p) - 1e-12).all()
    assert (adjusted <= np.minimum(len(p) * np.array(p), 1) + 1e-12).all()
    assert (np.diff(adjusted[np.argsort(p, kind="stable")]) >= 0).all()


# ------------------------------------------------------------------ published tables


@pytest.mark.parametrize(
    ("method", "table", "column"),
    [
        ("DeepLab_without_CRF", "table2", "DeepLab_without_CRF"),
        ("FCN", "table2", "FCN"),
        ("U-Net", "table2", "U-Net"),
        ("DeconvNet", "table2", "DeconvNet"),
        ("EDD_Net", "table4", "EDD_Net"),
        ("EDD+MUSCLE_Net", "table4", "EDD+MUSCLE_Net"),
    ],
)
def test_small_and_large_subjects_recombine_to_all(method, table, column):
    """(271 S + 90 L) / 361 of Table 5 gives the test values of Tables 2 and 4 within rounding.

    Hence every metric, the mean sizes of false lesions too, is a mean over subjects.
    """
    subgroups = load_published("edd_muscle", "table5").set_index(["method", "subset"]).loc[method]
    overall = load_published("edd_muscle", table).set_index(["metric", "split"])[column]
    for metric in ("Dice", "m#FP", "m#FN", "mSFP", "mSFN", "DR"):
        small, large = subgroups.loc["Small", metric], subgroups.loc["Large", metric]
        # Both sides are rounded to two decimals, by up to 0.005 each.
        assert (271 * small + 90 * large) / 361 == pytest.approx(
            overall[metric, "test"], abs=0.01
        ), metric


def test_mean_sizes_pooled_over_clusters_do_not_recombine():
    """Weighted by the number of missed clusters, mSFN misses all six printed values."""
    subgroups = load_published("edd_muscle", "table5").set_index(["subset", "method"])
    overall = pd.concat(
        [
            load_published("edd_muscle", table).set_index(["metric", "split"]).loc[("mSFN", "test")]
            for table in ("table2", "table4")
        ]
    )
    for method in subgroups.loc["Small"].index:
        weights = subgroups.xs(method, level="method")
        clusters = weights["m#FN"] * weights["n_test_subjects"]
        pooled = (clusters * weights["mSFN"]).sum() / clusters.sum()
        assert abs(pooled - overall[method]) > 0.05


def test_only_251_detected_small_subjects_fit_both_tables():
    """DR .93 of 271 and .94 of 361 (all 90 large ones found) leave one integer; .92 is fewer.

    So MUSCLE Net found subjects that EDD Net had missed.
    """
    published = load_published("edd_muscle", "table5").set_index(["method", "subset"])["DR"]
    total = load_published("edd_muscle", "table4").set_index(["metric", "split"])
    small = published["EDD+MUSCLE_Net", "Small"]
    fitting = [
        k
        for k in range(272)
        if round(k / 271, 2) == small
        and round((k + 90) / 361, 2) == total.loc[("DR", "test"), "EDD+MUSCLE_Net"]
    ]
    before = [k for k in range(272) if round(k / 271, 2) == published["EDD_Net", "Small"]]
    assert fitting == [251]
    assert max(before) == 250


def test_an_unknown_table_lists_the_known_ones():
    """A typing error is answered with the nearest name."""
    with pytest.raises(UsageError, match="did you mean edd_muscle_table"):
        load_published("edd_muscle", "tabel2")


# ------------------------------------------------------------------ tables of ours

ROWS = [
    row("a", "edd", 0.5, hd_mm=10.0, size_truth_px=20.0, n_fp=1.0),
    row("b", "edd", 0.7, hd_mm=SENTINEL_MM, size_truth_px=40.0, n_fp=0.0),
    row("c", "edd", NAN, hd_mm=NAN, size_truth_px=NAN, n_fp=4.0),
    row("a", "branch_1", 0.4, hd_mm=12.0, size_truth_px=20.0, n_fp=2.0),
    row("b", "branch_1", 0.6, hd_mm=14.0, size_truth_px=40.0, n_fp=3.0),
    row("c", "branch_1", NAN, hd_mm=NAN, size_truth_px=NAN, n_fp=5.0),
    row("d", "edd", 0.9, split="train", hd_mm=1.0, size_truth_px=90.0, n_fp=0.0),
]


def test_rows_of_records_say_which_run_they_come_from():
    """Seven rows keep their keys and gain name, profile, data, fold and seed."""
    rows = record_rows([record(ROWS)])
    assert len(rows) == 7
    assert set(rows.columns) >= {"name", "profile", "data", "fold", "seed", "case_id", "dice"}
    with pytest.raises(InputError, match="no records"):
        record_rows([])


def test_a_method_table_counts_what_it_leaves_out():
    """Two of three test cases have a Dice, one a finite distance, and training is not mixed in."""
    table = method_table(record_rows([record(ROWS)]), ["edd", "branch_1"], ["dice", "hd_mm"])
    assert list(table["output"]) == ["edd", "edd", "branch_1", "branch_1"]
    dice, hd = table.iloc[0], table.iloc[1]
    assert dice["mean"] == pytest.approx(0.6)
    assert dice["sd"] == pytest.approx(0.1)
    assert (dice["n"], dice["n_undefined"], dice["n_sentinel"]) == (2, 1, 0)
    assert (hd["mean"], hd["n"], hd["n_undefined"], hd["n_sentinel"]) == (10, 1, 1, 1)
    assert set(table["data"]) == {"phantom_dwi"}


def test_a_case_in_several_seeds_counts_once():
    """Dice .5 and .7 of one case are one case of .6; undefined in one seed is undefined."""
    first = record([row("a", "edd", 0.5, hd_mm=8.0), row("b", "edd", 0.9, hd_mm=SENTINEL_MM)])
    second = record([row("a", "edd", 0.7, hd_mm=NAN), row("b", "edd", 0.9, hd_mm=4.0)], seed=1)
    table = method_table(record_rows([first, second]), ["edd"], ["dice", "hd_mm"])
    assert table.loc[0, "mean"] == pytest.approx(0.75)
    assert table.loc[0, "n"] == 2
    assert tuple(table.loc[1, ["n", "n_undefined", "n_sentinel"]]) == (0, 1, 1)


def test_experiments_are_told_apart_by_name():
    """Two experiments need by="name"; mixing them under one output is refused."""
    rows = record_rows(
        [record([row("a", "edd", 0.5)]), record([row("a", "edd", 0.8)], name="adadelta")]
    )
    table = method_table(rows, ["main", "adadelta"], ["dice"], by="name")
    np.testing.assert_allclose(table["mean"], [0.5, 0.8])
    with pytest.raises(InputError, match="several values of name: main, adadelta"):
        method_table(rows, ["edd"], ["dice"])


def test_unknown_methods_metrics_and_splits_are_usage_errors():
    """Each names what there is."""
    rows = record_rows([record(ROWS)])
    with pytest.raises(UsageError, match="branch_1, edd"):
        method_table(rows, ["unet"], ["dice"])
    with pytest.raises(UsageError, match="did you mean dice"):
        method_table(rows, ["edd"], ["dise"])
    with pytest.raises(UsageError, match="test, train"):
        method_table(rows, ["edd"], ["dice"], split="val")


def test_subgroups_split_at_the_mean_lesion_size():
    """20 and 40 px have a mean of 30: one small, one large case; the one without lesion apart."""
    table = subgroup_table(record_rows([record(ROWS)]), ["edd"], ["dice", "n_fp"])
    assert set(table["cut_px"]) == {30}
    means = table.set_index(["subset", "metric"])["mean"]
    assert means["small", "dice"] == 0.5
    assert means["large", "dice"] == 0.7
    assert math.isnan(means["no lesion", "dice"])
    assert means["no lesion", "n_fp"] == 4


def test_the_cut_can_be_the_papers():
    """At 37 px the sides are as before; at 20 px the 20-px case counts as large."""
    rows = record_rows([record(ROWS)])
    assert list(subgroup_table(rows, ["edd"], ["dice"], cut_px=37)["subset"]) == [
        "small", "large", "no lesion",
    ]  # fmt: skip
    at_20 = subgroup_table(rows, ["edd"], ["dice"], cut_px=20)
    assert list(at_20["subset"]) == ["large", "no lesion"]


def test_pairs_are_formed_by_case():
    """Rows in any order are paired by their case."""
    rows = record_rows([record(ROWS[::-1])])
    pairs = paired_values(rows, "edd", "branch_1", "dice")
    assert list(pairs.index) == ["a", "b", "c"]
    np.testing.assert_allclose(pairs["edd"] - pairs["branch_1"], [0.1, 0.1, NAN])
    only_a = record_rows([record([row("a", "x", 1.0), row("b", "y", 1.0)])])
    with pytest.raises(InputError, match="no test case common"):
        paired_values(only_a, "x", "y", "dice")


def test_paper_and_ours_stand_beside_the_data_they_come_from():
    """The printed .63 of private data beside our .6 of the phantom; what was not run is NaN."""
    ours = method_table(record_rows([record(ROWS)]), ["edd"], ["dice"])
    published = load_published("edd_muscle", "table4").query("split == 'test'")
    published = published.melt(["metric", "split"], var_name="method")
    table = paper_vs_ours(
        published,
        ours,
        methods={"edd": "EDD_Net", "edd_muscle": "EDD+MUSCLE_Net"},
        metrics={"dice": "Dice", "n_fp": "m#FP"},
        paper_data="361 private DWI",
    )
    assert list(table["row"]) == ["EDD_Net", "EDD_Net", "EDD+MUSCLE_Net", "EDD+MUSCLE_Net"]
    assert list(table["paper"]) == [0.63, 5.89, 0.67, 3.27]
    np.testing.assert_allclose(table["ours"], [0.6, NAN, NAN, NAN])
    assert list(table["data"]) == ["phantom_dwi", "not run", "not run", "not run"]
    assert list(table["n"]) == [2, 0, 0, 0]
    assert set(table["paper_data"]) == {"361 private DWI"}


def test_two_cohorts_of_ours_become_two_rows():
    """The same method on the phantom and on real data keeps both numbers, each with its data."""
    ours = pd.concat(
        [
            method_table(record_rows([record(ROWS, data=data)]), ["edd"], ["dice"])
            for data in ("phantom_dwi", "isles2022")
        ]
    )
    published = pd.DataFrame([{"method": "EDD", "metric": "Dice", "value": 0.63}])
    table = paper_vs_ours(
        published, ours, methods={"edd": "EDD"}, metrics={"dice": "Dice"}, paper_data="private"
    )
    assert list(table["data"]) == ["phantom_dwi", "isles2022"]
    assert list(table["paper"]) == [0.63, 0.63]


def test_ambiguous_or_unknown_published_numbers_are_refused():
    """Three splits at once, or a method the paper does not have."""
    ours = method_table(record_rows([record(ROWS)]), ["edd"], ["dice"])
    published = load_published("edd_muscle", "table4").melt(["metric", "split"], var_name="method")
    names = {"methods": {"edd": "EDD_Net"}, "metrics": {"dice": "Dice"}, "paper_data": "private"}
    with pytest.raises(InputError, match="two values for DeconvNet_1, Dice"):
        paper_vs_ours(published, ours, **names)
    with pytest.raises(UsageError, match="did you mean EDD_Net"):
        paper_vs_ours(published, ours, **{**names, "methods": {"edd": "EDDNet"}})


def test_provenance_is_one_row_a_setting():
    """Name, value, kind, source and meaning, in the order of the recipe."""
    info = SimpleNamespace(value=0.05, kind="stated", source="Sec. 3.4", meaning="learning rate")
    table = provenance_table({"lr": info})
    assert table.to_dict("records") == [
        {"setting": "lr", "value": "0.05", "kind": "stated", "source": "Sec. 3.4",
         "meaning": "learning rate"}
    ]  # fmt: skip
    assert provenance_table({}).columns[0] == "setting"


# ------------------------------------------------------------------ verdicts


def a_test(mean, low, high, p):
    """Paired test with the given mean difference, interval and p-value."""
    return PairedTest(20, 0, mean, 0.1, low, high, 1.0, p, p, 0.07)


UP = a_test(0.1, 0.05, 0.15, 0.001)
FLAT = a_test(0.01, -0.04, 0.06, 0.7)
DOWN = a_test(-0.1, -0.15, -0.05, 0.001)


@pytest.mark.parametrize(
    ("test", "expected", "margin", "outcome"),
    [
        (UP, "increase", None, "confirmed"),
        (UP, "decrease", None, "opposite"),
        (DOWN, "decrease", None, "confirmed"),
        (FLAT, "increase", None, "not confirmed"),
        (FLAT, "no difference", 0.1, "confirmed"),
        (FLAT, "no difference", 0.05, "not confirmed"),
        (UP, "no difference", 0.02, "opposite"),
        (DOWN, "no difference", 0.02, "opposite"),
    ],
)
def test_outcomes_follow_from_numbers(test, expected, margin, outcome):
    """Sign and p-value decide a difference; the interval and the margin decide equality."""
    assert judge_difference(test, expected, margin, alpha=0.05) == outcome


@pytest.mark.parametrize(("expected", "margin"), [("no difference", None), ("increase", 0.1)])
def test_a_margin_belongs_to_equality_alone(expected, margin):
    """Equality without a margin cannot be shown; a margin has no meaning for a direction."""
    with pytest.raises(InputError, match="a margin exactly if"):
        judge_difference(UP, expected, margin, alpha=0.05)


def test_contradictory_verdicts_cannot_be_made():
    """Status, outcome and evidence must fit each other."""
    with pytest.raises(UsageError, match="status"):
        Verdict("C1", "t", "phantom", "confirmed", "e")
    with pytest.raises(UsageError, match="did you mean confirmed"):
        Verdict("C1", "t", "same data", "confirmd", "e")
    with pytest.raises(InputError, match="not attempted"):
        Verdict("C1", "t", "not attempted", "confirmed", "e")
    with pytest.raises(InputError, match="without evidence"):
        Verdict("C1", "t", "same data", "confirmed", " ")


def test_verdicts_become_a_table():
    """One row a claim, in order."""
    verdicts = [Verdict("C1", "t", "same data", "confirmed", "e")]
    table = verdict_table(verdicts)
    assert list(table.columns) == ["claim", "text", "status", "outcome", "evidence"]
    assert table.loc[0, "claim"] == "C1"
