"""The ledgers of deviations: every setting that one names exists, and nothing is left open."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from strokerepro import papers

TABLES = Path(__file__).resolve().parents[2] / "book" / "tables"
LEDGERS = sorted([*TABLES.glob("*_deviations.csv"), *TABLES.glob("*_contradictions.csv")])


@pytest.mark.parametrize("path", LEDGERS, ids=lambda path: path.stem)
def test_each_row_has_our_choice(path: Path) -> None:
    """A row names a setting of the recipe, whose value the chapter shows, or says it in words."""
    slug = path.stem.rpartition("_")[0]
    fields = papers.get_recipe(slug).fields
    for row in pd.read_csv(path).itertuples():
        named, said = isinstance(row.setting, str), isinstance(row.ours, str)
        assert named is not said, row
        assert not named or row.setting in fields, row


def test_each_factor_is_a_step_between_experiments() -> None:
    """The table of single factors names experiments of the recipe and stages of Table 1."""
    recipe = papers.get_recipe("ctp_gan")
    stages = set(pd.read_csv(TABLES / "ctp_gan_table1.csv")["stage"])
    for row in pd.read_csv(TABLES / "ctp_gan_factors.csv").itertuples():
        assert {row.first, row.second} <= {"main", *recipe.ablations}, row
        named = {row.published, row.published_minus}
        assert named <= stages or not any(isinstance(stage, str) for stage in named), row
