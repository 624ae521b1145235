"""Tables for readers: strings worked out by hand, nothing undefined hidden."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from strokerepro.report import PairedTest, TextTable, comparison_table, means, side_by_side

NAN = float("nan")


def versus(row: str, metric: str, paper: float, ours: float, **more: Any) -> dict[str, Any]:
    """One line of `paper_vs_ours`."""
    line = {
        "row": row, "metric": metric, "paper": paper, "paper_data": "361 private",
        "ours": ours, "ours_sd": 0.1, "n": 9, "n_undefined": 0, "n_sentinel": 0, "data": "phantom",
    }  # fmt: skip
    return {**line, **more}


NOT_RUN = {"ours": NAN, "ours_sd": NAN, "n": 0, "data": "not run"}


def test_paper_and_ours_are_neighbours_under_each_metric() -> None:
    """Each header names the data; the mean has its SD; cases stand last."""
    table = side_by_side(
        pd.DataFrame(
            [
                versus("EDD", "Dice", 0.63, 0.604),
                versus("EDD", "m#FP", 5.89, 2.5, ours_sd=1.25, n_undefined=2, n=7),
                versus("FCN", "Dice", NAN, 0.5, ours_sd=NAN),
                versus("FCN", "m#FP", 11.4, 3.0, n=8),
            ]
        )
    )
    assert list(table.columns) == [
        ("Dice", "paper (361 private)"), ("Dice", "ours (phantom)"),
        ("m#FP", "paper (361 private)"), ("m#FP", "ours (phantom)"),
        ("cases", "n"), ("cases", "undefined"),
    ]  # fmt: skip
    assert list(table.loc["EDD"]) == ["0.63", "0.60 ± 0.10", "5.89", "2.50 ± 1.25", 9, 2]
    assert list(table.loc["FCN"]) == ["-", "0.50", "11.40", "3.00 ± 0.10", 9, 0]


def test_the_number_of_digits_can_be_chosen() -> None:
    """One digit: 0.63 and 0.604 both read 0.6."""
    table = side_by_side(pd.DataFrame([versus("EDD", "Dice", 0.63, 0.604)]), digits=1)
    assert list(table.loc["EDD"])[:2] == ["0.6", "0.6 ± 0.1"]


@pytest.mark.parametrize("first", ["EDD", "FCN"])
def test_a_method_that_was_not_run_has_a_dash_beside_the_papers_number(first: str) -> None:
    """It may stand first or last, and needs no column of its own."""
    lines = [
        versus("EDD", "Dice", 0.63, 0.6),
        versus("EDD", "m#FP", 5.89, 2.5),
        versus("FCN", "Dice", 0.58, **NOT_RUN),
        versus("FCN", "m#FP", 11.4, **NOT_RUN),
    ]
    table = side_by_side(pd.DataFrame(lines if first == "EDD" else lines[2:] + lines[:2]))
    assert next(iter(table.index)) == first
    assert len(table.columns) == 6
    assert list(table.loc["FCN"]) == ["0.58", "-", "11.40", "-", 0, 0]
    assert list(table.loc["EDD"]) == ["0.63", "0.60 ± 0.10", "5.89", "2.50 ± 0.10", 9, 0]


def test_a_metric_that_nobody_ran_says_so_in_its_header() -> None:
    """The column of ours is not left out."""
    table = side_by_side(
        pd.DataFrame([versus("EDD", "Dice", 0.63, 0.6), versus("EDD", "DR", 0.94, **NOT_RUN)])
    )
    assert list(table["DR"].columns) == ["paper (361 private)", "ours (not run)"]
    assert list(table["DR"].loc["EDD"]) == ["0.94", "-"]


def test_ours_on_two_cohorts_are_two_columns() -> None:
    """A method with numbers on one cohort only has a dash under the other."""
    table = side_by_side(
        pd.DataFrame(
            [
                versus("EDD", "Dice", 0.63, 0.6),
                versus("EDD", "Dice", 0.63, 0.4, data="isles2022"),
                versus("FCN", "Dice", 0.58, 0.3, data="isles2022"),
            ]
        )
    )
    assert list(table["Dice"].columns) == [
        "paper (361 private)", "ours (phantom)", "ours (isles2022)",
    ]  # fmt: skip
    assert list(table["Dice"].loc["EDD"]) == ["0.63", "0.60 ± 0.10", "0.40 ± 0.10"]
    assert list(table["Dice"].loc["FCN"]) == ["0.58", "-", "0.30 ± 0.10"]


def mean_line(method: str, metric: str, mean: float, sd: float, **more: Any) -> dict[str, Any]:
    """One line of `method_table`."""
    line = {"method": method, "metric": metric, "mean": mean, "sd": sd, "ddof": 0}
    return {**line, "n": 9, "n_undefined": 0, "n_sentinel": 0, "data": "phantom", **more}


def test_means_are_one_row_a_method_with_the_cases_that_are_left_out() -> None:
    """The most cases, and the most undefined ones, of any metric; order as given."""
    table = means(
        pd.DataFrame(
            [
                mean_line("edd", "dice", 0.604, 0.125),
                mean_line("edd", "hd_mm", 12.0, 3.0, n=6, n_undefined=3),
                mean_line("arch", "dice", 0.5, 0.0),
                mean_line("arch", "hd_mm", NAN, NAN, n=0, n_undefined=9),
            ]
        ),
        "method",
    )
    assert list(table.index) == ["edd", "arch"]
    assert list(table.columns) == ["dice", "hd_mm", "n", "undefined", "data"]
    assert list(table.loc["edd"]) == ["0.60 ± 0.12", "12.00 ± 3.00", 9, 3, "phantom"]
    assert list(table.loc["arch"]) == ["0.50 ± 0.00", "-", 9, 9, "phantom"]


def paired(mean: float, p_t: float, p_wilcoxon: float = 0.25) -> PairedTest:
    """Result of a paired test with an interval of 0.05 to both sides."""
    return PairedTest(20, 1, mean, 0.1, mean - 0.05, mean + 0.05, 1.0, p_t, p_wilcoxon, 0.07)


def test_comparisons_have_their_interval_and_holms_p() -> None:
    """Of p .01 .04 .03 the smallest is tripled, .03 doubled to .06, and .04 may not be below."""
    table = comparison_table(
        [("a", paired(0.1234, 0.01)), ("b", paired(-0.2, 0.04)), ("c", paired(0.0, 0.03, 0.5))]
    )
    assert list(table.loc["a"]) == [0.123, "0.073 to 0.173", "0.01", "0.03", "0.25", 20]
    assert list(table.loc["b"]) == [-0.2, "-0.250 to -0.150", "0.04", "0.06", "0.25", 20]
    assert list(table.loc["c"]) == [0.0, "-0.050 to 0.050", "0.03", "0.06", "0.5", 20]


def test_a_single_comparison_needs_no_correction() -> None:
    """Holm's p is then the p of the t-test; digits can be chosen."""
    table = comparison_table([("a", paired(0.1234, 0.01))], digits=2)
    assert list(table.loc["a"]) == [0.12, "0.07 to 0.17", "0.01", "0.01", "0.25", 20]


def test_a_text_table_has_the_same_html_for_the_same_words() -> None:
    """No random identity gets into a notebook; other words give another one."""
    frame = pd.DataFrame({"name": ["a"], "meaning": ["b"]})
    first, again, other = (
        TextTable(table)._repr_html_() for table in (frame, frame.copy(), frame.assign(name="c"))
    )
    assert first == again != other
    assert ">0<" not in first  # no index
    assert repr(TextTable(frame)).split() == ["name", "meaning", "a", "b"]  # and no address


def test_numbers_in_a_text_table_have_the_asked_digits_and_a_dash_where_there_is_none() -> None:
    """37.908 with two digits is 37.91; what was not published is a dash."""
    html = TextTable(pd.DataFrame({"ours": [37.908, NAN]}))._repr_html_()
    assert ">37.91<" in html
    assert ">-<" in html


def test_no_comparison_is_an_empty_table_with_its_columns() -> None:
    """A chapter at a profile without records shows an empty table and goes on."""
    table = comparison_table([])
    assert table.empty
    assert list(table.columns) == [
        "difference", "95 % interval", "p, t-test", "p, Holm", "p, Wilcoxon", "n"
    ]  # fmt: skip
