"""Every recipe is complete: provenance on each field, runnable profiles, honest experiments."""

from __future__ import annotations

import dataclasses

import pytest

from strokerepro.errors import UsageError
from strokerepro.experiment import jobs
from strokerepro.files import bundled
from strokerepro.papers import get_recipe, slugs
from strokerepro.papers.base import PROFILES, Recipe


@pytest.fixture(params=slugs())
def recipe(request: pytest.FixtureRequest) -> Recipe:
    """Each recipe in turn."""
    return get_recipe(request.param)


def test_every_setting_has_provenance_with_a_source_and_a_meaning(recipe: Recipe) -> None:
    """No hyper-parameter comes from nowhere."""
    for info in recipe.fields.values():
        assert info.kind in ("stated", "released", "inferred", "ours")
        assert info.source.strip(), info.name
        assert info.meaning.strip(), info.name


def test_the_paper_profile_replaces_nothing(recipe: Recipe) -> None:
    """The defaults of the settings are what the paper states."""
    assert recipe.profile("paper").settings == recipe.settings


def test_every_profile_and_ablation_builds(recipe: Recipe) -> None:
    """Every named experiment has settings of the right types in every profile."""
    for profile in PROFILES:
        for name in recipe.ablations:
            recipe.profile(profile).ablation(name)


def test_every_ablation_changes_something(recipe: Recipe) -> None:
    """An experiment that equals the main one would be a false result."""
    for profile in ("quick", "full"):
        scaled = recipe.profile(profile)
        for name in recipe.ablations:
            assert scaled.ablation(name).settings != scaled.settings, name


def test_no_two_ablations_are_the_same_run(recipe: Recipe) -> None:
    """Each experiment stands once."""
    seen = {}
    for name in recipe.ablations:
        key = recipe.ablation(name).key("")
        assert key not in seen, f"{name} repeats {seen.get(key)}"
        seen[key] = name


def test_the_quick_profile_covers_at_most_eight_further_experiments(recipe: Recipe) -> None:
    """What fits into half an hour on two cores, beside the rows of the paper's main table."""
    further = [item for item in recipe.ablations.values() if item.in_quick and not item.all_folds]
    assert 1 <= len(further) <= 8


def test_every_published_table_is_there(recipe: Recipe) -> None:
    """The recipe names only tables that travel with the package."""
    for table in recipe.tables:
        assert (bundled("tables") / f"{recipe.slug}_{table}.csv").is_file()


def test_a_replaced_setting_is_ours_and_says_what_it_replaced(recipe: Recipe) -> None:
    """A profile's value never passes for the paper's."""
    name = next(iter(recipe.profiles["smoke"]))
    info = recipe.profile("smoke").fields[name]
    assert info.kind == "ours"
    assert "profile smoke" in info.source
    assert repr(getattr(recipe.settings, name)) in info.source


def test_the_key_depends_on_settings_and_data_only(recipe: Recipe) -> None:
    """The same settings give the same key, whatever the run is called."""
    renamed = dataclasses.replace(recipe, name="other", reasons={"x": "y"})
    assert renamed.key("d") == recipe.key("d") != recipe.key("e")


def test_an_unknown_slug_lists_the_nearest() -> None:
    """A typo is answered with what was meant."""
    with pytest.raises(UsageError, match="did you mean edd_muscle"):
        get_recipe("edd_muscel")


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ({"patchpx": "64"}, "did you mean patch_px"),
        ({"patch_px": "many"}, "patch_px='many'; expected a valid integer"),
        ({"batch": "0"}, "batch='0'; expected greater than 0"),
        ({"negative_fraction": "1.5"}, "less than or equal to 1"),
        ({"convs": "2"}, "at least 2 items"),
        ({"sampler": "pixels"}, "one of pixel, lesion, subject, slice"),
        ({"convs": "2,x"}, "convs"),
    ],
)
def test_a_wrong_setting_gives_one_line(pair: dict[str, str], message: str) -> None:
    """Unknown names and wrong values are refused before anything runs."""
    with pytest.raises(UsageError, match=message) as caught:
        get_recipe("edd_muscle").replace(pair, "user")
    assert "\n" not in str(caught.value)


def test_text_values_become_the_type_of_the_field() -> None:
    """The command line's text is converted as the field declares."""
    recipe = get_recipe("edd_muscle").replace(
        {"patch_px": "48", "convs": "2,3,3", "joint": "false", "lr": "0.1"}, "user"
    )
    settings = recipe.settings
    assert (settings.patch_px, settings.convs, settings.joint, settings.lr) == (
        48, (2, 3, 3), False, 0.1,
    )  # fmt: skip


def test_folds_outside_the_profile_are_refused() -> None:
    """There is no fold 3 of 3."""
    with pytest.raises(UsageError, match="fold 3; expected 0 to 2"):
        jobs(get_recipe("edd_muscle").profile("quick"), folds=[3])


def test_a_cohort_the_method_cannot_use_is_refused() -> None:
    """DWI lesions are not segmented in T1w."""
    with pytest.raises(UsageError, match="unknown data set for edd_muscle 'atlas_r2'"):
        jobs(get_recipe("edd_muscle").profile("quick"), data="atlas_r2")
