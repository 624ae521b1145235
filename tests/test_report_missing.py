"""What a chapter says about the experiments that nobody ran."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

from strokerepro.papers import get_recipe
from strokerepro.report import missing_table


def test_every_experiment_without_a_record_has_a_cost_or_says_why_not():
    """On 80 px five halvings leave a rest: that row says so, and the others have minutes."""
    recipe = get_recipe("ms_dcnn").profile("quick")
    names = ("one_path", "kernels_37", "stem_stride2")
    few = {name: recipe.ablations[name] for name in names}
    recipe = dataclasses.replace(recipe, ablations=few)
    records = {"main": [SimpleNamespace(wall_s=600.0)], "one_path": []}
    table = missing_table(recipe, records).set_index("ablation")
    assert list(table.index) == ["kernels_37", "stem_stride2"]
    assert list(table["about, min"]) == [10, "other image size needed"]
