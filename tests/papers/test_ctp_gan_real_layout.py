"""The command for real data runs unchanged on a folder in the layout of ISLES 2018."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from strokerepro.cli import main
from strokerepro.cohort import load_cohort
from strokerepro.experiment import jobs, run, transfer
from strokerepro.papers import get_recipe
from strokerepro.phantom import make_cohort

CASES = 10  # of six patients, four of whom have two slabs
REAL = ("--profile", "smoke", "--data", "isles2018", "--folds", "0")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Simulated slabs under the names of the challenge's files, as in its first release."""
    folder = tmp_path_factory.mktemp("ISLES2018")
    return make_cohort("ctp", folder, cases=CASES, size_px=64, seed=3)


@pytest.fixture(scope="module")
def today(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same without the DWI, as in every later release."""
    folder = tmp_path_factory.mktemp("today") / "ISLES2018"
    without = shutil.ignore_patterns("SMIR.Brain.XX.O.MR_DWI.*")
    return Path(shutil.copytree(root, folder, ignore=without))


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
    """Everything but sides, width and epochs is as a user with the real folder would run it."""
    short = {"matrix_px": 128, "window_px": 128, "base": 4, "epochs": 1}
    recipe = get_recipe("ctp_gan").profile(profile).replace(short, "test", name="short")
    job = jobs(recipe, data="isles2018", folds=[1])[0]
    assert job.n_folds == 4
    record = run(job, root=root, results_dir=tmp_path)
    assert record.facts["parameters_discriminator"] == 1_083_841
    cohort = load_cohort("isles2018", root)
    patient = dict(zip(cohort.case_ids, cohort.patient_ids, strict=True))
    train, test = ({patient[case] for case in record.splits[part]} for part in ("train", "test"))
    assert not train & test
    assert record.splits["val"] == record.splits["test"]  # for curves alone
    assert {row["output"] for row in record.rows} == {
        "segmentation", "oracle_dwi", "rcbf30", "tmax6", "rcbf30_delay3",
    }  # fmt: skip


@pytest.mark.slow
def test_slices_of_one_case_are_parted_if_that_is_asked_for(root: Path, tmp_path: Path) -> None:
    """Every case is trained on; those that have slices of the fold are tested by them alone."""
    recipe = get_recipe("ctp_gan").profile("smoke").ablation("split_slice")
    record = run(jobs(recipe, data="isles2018")[0], root=root, results_dir=tmp_path)
    cohort = load_cohort("isles2018", root, ("cbf",))
    assert record.splits["train"] == record.splits["test"] == list(cohort.case_ids)
    truth_ml = {
        row["case_id"]: row["volume_ml_truth"] for row in record.rows if row["output"] == "tmax6"
    }
    whole_ml = {}
    for case in cohort:
        assert case.label is not None
        whole_ml[case.case_id] = case.label.sum() * np.prod(case.spacing_mm) / 1000
    assert all(volume <= whole_ml[name] + 1e-6 for name, volume in truth_ml.items())
    assert 0 < sum(truth_ml.values()) < 0.6 * sum(whole_ml.values())  # a third of the slices


@pytest.mark.slow
def test_a_release_without_dwi_gets_one_line_that_names_the_one_with_it(
    today: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is trained; segmentation of the maps, which needs none, is."""
    words = (*REAL, "--root", str(today), "--results-dir", str(tmp_path))
    assert command("run", "ctp_gan", *words) != 0
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1
    assert f"{CASES} of {CASES} cases incomplete, case_1 lacks dwi" in said[0]
    assert "first release of June 2018 has the DWI" in said[0]
    assert not list(tmp_path.rglob("*.json"))
    assert command("run", "ctp_gan", *words, "--ablation", "stage2_direct") == 0
    assert list(tmp_path.rglob("stage2_direct-*.json"))


@pytest.mark.slow
def test_run_predict_and_score_work_from_the_command_line(
    root: Path, today: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Train with DWI, segment a case that has none, score the mask: it is the one `run` scored."""
    runs = tmp_path / "runs"
    assert command("run", "ctp_gan", *REAL, "--root", str(root), "--results-dir", str(runs)) == 0
    weights = next((runs / "ctp_gan").glob("*.ckpt"))
    record = json.loads(weights.with_suffix(".json").read_text())
    name = record["splits"]["test"][0]
    scored = next(row["dice"] for row in record["rows"]
                  if (row["case_id"], row["output"]) == (name, "segmentation"))  # fmt: skip
    case = today / "TRAINING" / name
    mask = tmp_path / "mask.nii.gz"
    words = ("--checkpoint", str(weights), "--case", str(case), "--out", str(mask))
    assert command("predict", "ctp_gan", *words) == 0
    truth = next(case.glob("SMIR.Brain.XX.O.OT.*/*.nii"))
    written, reference = nib.load(mask), nib.load(truth)
    assert written.shape == reference.shape
    np.testing.assert_allclose(
        written.header.get_zooms()[:3], reference.header.get_zooms()[:3], rtol=1e-5
    )
    capsys.readouterr()
    assert command("score", "--pred", str(mask), "--truth", str(truth), "--json") == 0
    found = json.loads(capsys.readouterr().out)[0]["dice"]
    assert found == pytest.approx(scored, abs=1e-3)


@pytest.mark.slow
def test_a_test_on_other_cases_scores_the_oracle_where_these_have_a_dwi(
    root: Path, today: Path, tmp_path: Path
) -> None:
    """Without a DWI the segmentation of the generated one is all there is."""
    job = jobs(get_recipe("ctp_gan").profile("smoke"), data="isles2018", folds=[0])[0]
    run(job, root=root, results_dir=tmp_path)
    rules = {"rcbf30", "tmax6", "rcbf30_delay3"}
    for folder, outputs in ((root, {"segmentation", "oracle_dwi"}), (today, {"segmentation"})):
        rows = transfer(job, "isles2018", root=folder, results_dir=tmp_path).rows
        assert len({row["case_id"] for row in rows}) == CASES
        assert {row["output"] for row in rows} == outputs | rules
        with_image = {row["output"] for row in rows if "dwi_ssim" in row}
        assert with_image == ({"segmentation"} if "oracle_dwi" in outputs else set())


@pytest.mark.slow
def test_a_prediction_reads_what_the_trained_settings_need(root: Path, tmp_path: Path) -> None:
    """Plain CT if it is a channel, and no series where its maximum is none."""
    for name in ("with_ct", "gan_4ch"):
        words = ("--root", str(root), "--results-dir", str(tmp_path), "--ablation", name)
        assert command("run", "ctp_gan", *REAL, *words) == 0
    case = sorted((root / "TRAINING").iterdir())[0]
    for name in ("with_ct", "gan_4ch"):
        weights = next((tmp_path / "ctp_gan").glob(f"{name}-*.ckpt"))
        words = ("--checkpoint", str(weights), "--case", str(case), "--out")
        assert command("predict", "ctp_gan", *words, str(tmp_path / f"{name}.nii.gz")) == 0
