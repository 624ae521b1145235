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
    """Everything but side and epochs is as a user with the real folder would run it."""
    short = {"resize_px": 32, "epochs": 1, "batch": 16}
    recipe = get_recipe("ms_dcnn").profile(profile).replace(short, "test", name="short")
    job = jobs(recipe, data="isles2018", folds=[1])[0]
    record = run(job, root=root, results_dir=tmp_path)
    assert (record.facts["parameters"], record.facts["layers"]) == (36_990_177, 123)
    cohort = load_cohort("isles2018", root)
    patient = dict(zip(cohort.case_ids, cohort.patient_ids, strict=True))
    train, test = ({patient[case] for case in record.splits[part]} for part in ("train", "test"))
    assert not train & test
    assert record.splits["val"] == record.splits["test"]  # for curves alone
    outputs = {row["output"] for row in record.rows if row["split"] == "test"}
    assert outputs == {"raw", "median", "median3", "median7", "mask_first", "rcbf30", "tmax6"}


@pytest.mark.slow
def test_run_predict_and_score_work_from_the_command_line(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Train on the folder, segment one of its cases on its own grid, score the mask.

    The mask of `predict` is the one that `run` has scored.
    """
    runs = tmp_path / "runs"
    words = ["run", "ms_dcnn", "--profile", "smoke", "--data", "isles2018", "--folds", "0"]
    assert command(*words, "--root", str(root), "--results-dir", str(runs)) == 0
    weights = next((runs / "ms_dcnn").glob("*.ckpt"))
    record = json.loads(weights.with_suffix(".json").read_text())
    name = record["splits"]["test"][0]
    scored = next(row["dice"] for row in record["rows"]
                  if (row["case_id"], row["output"]) == (name, "median"))  # fmt: skip
    case = root / "TRAINING" / name
    mask = tmp_path / "mask.nii.gz"
    assert (
        command(
            "predict", "ms_dcnn", "--checkpoint", str(weights), "--case", str(case),
            "--out", str(mask),
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
    found = json.loads(capsys.readouterr().out)[0]["dice"]
    assert found == pytest.approx(scored, abs=1e-3)
