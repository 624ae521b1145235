"""The command for real data runs unchanged on a folder in the layout of ISLES 2018."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from strokerepro.cli import main
from strokerepro.cohort import load_cohort
from strokerepro.experiment import jobs, run
from strokerepro.papers import get_recipe
from strokerepro.phantom import make_cohort

CASES = 10  # of six patients, four of whom have two slabs


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Simulated slabs under the names of the challenge's files."""
    folder = tmp_path_factory.mktemp("ISLES2018")
    return make_cohort("ctp", folder, cases=CASES, size_px=64, seed=3)


def command(*words: str) -> int:
    """Exit code of a command line."""
    with pytest.raises(SystemExit) as caught:
        main(list(words))
    return int(caught.value.code or 0)


@pytest.mark.slow
@pytest.mark.parametrize("profile", ["full", "paper"])
def test_a_profile_for_real_data_trains_on_patient_folds_of_the_manifest(
    root: Path, profile: str, tmp_path: Path
) -> None:
    """Everything but the number of patches is as a user with the real folder would run it."""
    short = {
        "patches_per_case": 8, "val_patches_per_case": 8, "max_epochs": 1, "batch": 8,
        "step_px": 32, "variants": (),
    }  # fmt: skip
    recipe = get_recipe("core_resnet").profile(profile).replace(short, "test", name="short")
    job = jobs(recipe, data="isles2018", folds=[1])[0]
    record = run(job, root=root, results_dir=tmp_path)
    assert record.facts["parameters"] == 592_610
    cohort = load_cohort("isles2018", root)
    patient = dict(zip(cohort.case_ids, cohort.patient_ids, strict=True))
    train, test = ({patient[case] for case in record.splits[part]} for part in ("train", "test"))
    assert not train & test
    assert record.splits["val"] == record.splits["test"]  # as published
    assert {row["output"] for row in record.rows} == {"single", "uf", "rcbf30", "tmax6"}


@pytest.mark.slow
def test_run_predict_and_score_work_from_the_command_line(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Train on the folder, segment one of its cases on its own grid, score the mask."""
    runs = str(tmp_path / "runs")
    words = ["run", "core_resnet", "--profile", "smoke", "--data", "isles2018", "--folds", "0"]
    assert command(*words, "--root", str(root), "--results-dir", runs) == 0
    weights = next((tmp_path / "runs" / "core_resnet").glob("*.ckpt"))
    case = root / "TRAINING" / "case_2"
    mask = tmp_path / "case_2.nii.gz"
    assert (
        command(
            "predict", "core_resnet", "--checkpoint", str(weights), "--checkpoint", str(weights),
            "--case", str(case), "--out", str(mask),
        )
        == 0
    )  # fmt: skip
    truth = next(case.glob("SMIR.Brain.XX.O.OT.*/*.nii"))
    written, reference = nib.load(mask), nib.load(truth)
    assert written.shape == reference.shape
    np.testing.assert_allclose(
        written.header.get_zooms()[:3], reference.header.get_zooms()[:3], rtol=1e-5
    )
    capsys.readouterr()
    assert command("score", "--pred", str(mask), "--truth", str(truth), "--json") == 0
    assert 0 <= json.loads(capsys.readouterr().out)[0]["dice"] <= 1
