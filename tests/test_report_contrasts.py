"""Contrasts of experiments: what is said of a difference, and of an experiment nobody ran."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from strokerepro import figures
from strokerepro.errors import UsageError
from strokerepro.papers import get_recipe
from strokerepro.report import (
    Contrast,
    beside_paper,
    contrast_intervals,
    contrast_table,
    contrast_words,
    not_run,
    run_command,
)

RECIPE = get_recipe("edd_muscle").profile("quick")
NOISE = (0.01, -0.01, 0.02, -0.02, 0.01, -0.01, 0.02, -0.02)  # mean 0
NOTHING = pd.DataFrame({"method": []})


def _rows(name: str, level: float, scatter: float = 1.0, fold: int = 0) -> list[dict[str, Any]]:
    """Eight test cases of an experiment around a level."""
    return [
        {"case_id": f"case_{k}", "name": name, "output": "edd", "method": f"{name}/edd",
         "split": "test", "profile": "quick", "data": "phantom_dwi", "fold": fold, "seed": 0,
         "dice": level + scatter * noise}
        for k, noise in enumerate(NOISE)
    ]  # fmt: skip


ROWS = pd.DataFrame(
    [*_rows("main", 0.6), *_rows("arch_unet", 0.5, -1), *_rows("arch_fcn", 0.6, -1)]
)
WORSE = Contrast("a U-Net instead", "arch_unet/edd", "main/edd", published=-0.04)
SAME = Contrast("an FCN instead", "arch_fcn/edd", "main/edd")
ABSENT = Contrast("patches of 32", "patch32_rf18/edd", "main/edd", published=0.01)


def test_table_keeps_the_line_of_what_was_not_run() -> None:
    """0.5 minus 0.6 is -0.1 beside the paper's -0.04; the missing run shows its command."""
    table = contrast_table(RECIPE, ROWS, [WORSE, ABSENT]).set_index("contrast")
    assert table.loc["a U-Net instead", ["paper", "ours", "n", "data", "to run"]].tolist() == [
        "-0.040", "-0.100", "8", "phantom_dwi", "-",
    ]  # fmt: skip
    absent = table.loc["patches of 32"]
    assert absent["to run"] == (
        "strokerepro run edd_muscle --profile quick --ablation patch32_rf18 --folds 0 --seed 0"
    )
    assert (absent["paper"], absent["ours"], absent["p, Holm"]) == ("+0.010", "-", "-")


def test_intervals_are_numbers_that_a_figure_draws() -> None:
    """-0.1 within its interval beside the paper's -0.04; a missing run has the paper's alone."""
    table = contrast_intervals(ROWS, [WORSE, ABSENT]).set_index("row")
    worse, absent = table.loc["a U-Net instead"], table.loc["patches of 32"]
    assert worse["ours"] == pytest.approx(-0.1)
    assert worse["ours_low"] < worse["ours"] < worse["ours_high"] < 0
    assert (absent["paper"], absent["data"]) == (0.01, "not run")
    assert absent[["ours", "ours_low", "ours_high"]].isna().all()
    assert len(figures.paper_vs_ours(table.reset_index()).data) == 2


def test_words_follow_the_numbers() -> None:
    """A significant fall is a fall, equal means show no difference, missing runs are counted."""
    fall, same, absent = str(contrast_words(RECIPE, ROWS, [WORSE, SAME, ABSENT])).splitlines()
    assert fall.startswith("- a U-Net instead: dice falls, -0.100 (95 % CI")
    assert "the paper's -0.040 has this sign" in fall
    assert "no difference of dice shown" in same
    assert "with a power of 80 %" in same
    assert absent == "- Without a number so far: 1 of 3."


def test_words_turn_with_the_sign() -> None:
    """The same contrast the other way round is a rise, and against the paper."""
    item = Contrast("back", "main/edd", "arch_unet/edd", published=-0.04)
    said = str(contrast_words(RECIPE, ROWS, [item]))
    assert "dice rises, +0.100" in said
    assert "has the other sign" in said


def test_holm_counts_only_what_was_tested() -> None:
    """A family with one tested contrast corrects nothing: both p are the same."""
    line = contrast_table(RECIPE, ROWS, [SAME, ABSENT]).iloc[0]
    assert line["p, t-test"] == line["p, Holm"]


def test_nothing_was_run_at_all() -> None:
    """Without a single record every line is a command, the main experiment's without a name."""
    table = contrast_table(RECIPE, NOTHING, [WORSE, ABSENT])
    assert set(table["ours"]) == {"-"}
    main = "strokerepro run edd_muscle --profile quick --folds 0,1,2 --seed 0"
    assert table["to run"].str.endswith(f"; {main}").all()
    assert str(contrast_words(RECIPE, NOTHING, [ABSENT, ABSENT])) == (
        "*Not run yet:* `strokerepro run edd_muscle --profile quick --ablation patch32_rf18 "
        f"--folds 0 --seed 0; {main}`"
    )


def test_output_that_no_record_has_is_named_as_such() -> None:
    """A run without the wanted output gets no command: running it again would not help."""
    item = Contrast("rule", "main/rule", "main/edd")
    assert contrast_table(RECIPE, ROWS, [item])["to run"][0] == "no such output in the records"


def test_undefined_values_are_a_reason_not_a_failure() -> None:
    """With one defined pair no test is possible: table, figure and words say why."""
    rows = ROWS.copy()
    rows.loc[rows.index[1:8], "dice"] = float("nan")
    reason = "not testable: got 1 defined pairs"
    assert reason in contrast_table(RECIPE, rows, [WORSE])["to run"][0]
    assert reason in contrast_intervals(rows, [WORSE])["data"][0]
    assert str(contrast_words(RECIPE, rows, [WORSE])).startswith(f"- a U-Net instead: {reason}")
    first, last = str(contrast_words(RECIPE, rows, [WORSE, ABSENT])).splitlines()
    assert reason in first
    assert last == "- Without a number so far: 1 of 2."


def test_command_names_real_data() -> None:
    """On a cohort of the user's own the command needs a folder."""
    assert run_command(RECIPE, "arch_fcn", "isles2022") == (
        "strokerepro run edd_muscle --profile quick --ablation arch_fcn --data isles2022 "
        "--root DIR --folds 0 --seed 0"
    )
    with pytest.raises(UsageError, match="arch_fcm"):
        run_command(RECIPE, "arch_fcm")


def test_commands_repeat_the_folds_and_the_seed_of_the_chapter() -> None:
    """A record with another seed would not be found by the chapter that asks for it."""
    chosen: Any = {"folds": [1, 2], "seed": 3}
    wanted = "--folds 1,2 --seed 3"
    assert run_command(RECIPE, "main", **chosen).endswith(wanted)
    assert contrast_table(RECIPE, NOTHING, [WORSE], **chosen)["to run"][0].count(wanted) == 2
    assert str(contrast_words(RECIPE, NOTHING, [WORSE], **chosen)).count(wanted) == 2
    assert wanted in str(not_run(RECIPE, {}, "main", **chosen))


def test_note_on_missing_runs() -> None:
    """Nothing to say if all are there; else each missing one with its command."""
    records: Any = {"main": [object()]}
    assert not_run(RECIPE, records, "main") is None
    note = str(not_run(RECIPE, records, "main", "arch_fcn"))
    assert "`arch_fcn`" in note
    assert "`main`" not in note
    assert "--ablation arch_fcn --folds 0 --seed 0`" in note


def test_paper_stands_alone_where_nothing_was_run() -> None:
    """With `keep_missing` a method without rows keeps its published number and says "not run"."""
    published = pd.DataFrame([{"method": "EDD", "metric": "Dice", "value": 0.67}])
    table = beside_paper(
        NOTHING, published, {"main/edd": "EDD"}, {"dice": "Dice"}, "theirs", keep_missing=True
    )
    assert table[["paper", "data", "n"]].iloc[0].tolist() == [0.67, "not run", 0]
