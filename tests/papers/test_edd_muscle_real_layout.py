"""The profiles for real data run unchanged on a folder in the layout of ISLES 2022."""

from __future__ import annotations

from pathlib import Path

import pytest

from strokerepro.cohort import load_cohort
from strokerepro.experiment import jobs, run
from strokerepro.papers import get_recipe
from strokerepro.phantom import make_cohort


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Simulated cases under the name of the real archive's folder."""
    folder = tmp_path_factory.mktemp("real")
    make_cohort("dwi", folder / "ISLES-2022", cases=7, size_px=64, seed=3)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("profile", ["full", "paper"])
def test_a_profile_for_real_data_trains_on_patient_folds_of_the_manifest(
    root: Path, profile: str, tmp_path: Path
) -> None:
    """Everything but the number of steps is as a user with the real folder would run it."""
    short = {"steps": 2, "validate_every": 2, "batch": 4, "muscle_steps": 2}
    recipe = get_recipe("edd_muscle").profile(profile).replace(short, "test", name="short")
    job = jobs(recipe, data="isles2022", folds=[1])[0]
    record = run(job, root=root, results_dir=tmp_path)
    assert record.facts["parameters_segmenter"] == 3_223_212
    patients = load_cohort("isles2022", root).patient_ids
    parts = [set(part) for part in record.splits.values()]
    assert sorted(patient for part in parts for patient in part) == sorted(patients)
    assert {row["split"] for row in record.rows} == {"train", "val", "test"}
