"""The command line does the whole way: run, predict, score, show, compare."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from strokerepro.cli import main

from .helpers import SMOKE, masks, one_line


@pytest.fixture(scope="module")
def trained(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results folder of ``strokerepro run`` at the smoke profile; tests must not change it."""
    runs = tmp_path_factory.mktemp("trained")
    with pytest.raises(SystemExit) as caught:
        main([*SMOKE, "--root", str(cohort), "--results-dir", str(runs)])
    assert caught.value.code == 0
    return runs


@pytest.fixture
def runs(trained: Path, tmp_path: Path) -> Path:
    """A copy of the trained results that a test may change."""
    return Path(shutil.copytree(trained, tmp_path / "runs"))


@pytest.fixture
def weights(trained: Path) -> Path:
    """The weights of the smoke profile."""
    return next(trained.glob("edd_muscle/*.ckpt"))


def test_run_predict_and_score_go_the_whole_way(
    command: Callable[..., tuple[int, str, str]], cohort: Path, weights: Path, tmp_path: Path
) -> None:
    """Train, segment a case on its own grid, score it: the mask has the case's grid and header."""
    case = cohort / "ISLES-2022" / "sub-strokecase0001"
    out = tmp_path / "out" / "mask.nii.gz"
    code, printed, error = command(
        "predict", "edd_muscle", "--checkpoint", weights, "--case", case, "--out", out, "--json"
    )
    assert code == 0, error
    assert set(json.loads(printed)["seconds"]) == {"preprocess", "segmenter", "muscle"}
    truth = cohort / "ISLES-2022/derivatives/sub-strokecase0001/ses-0001"
    reference = next(truth.glob("*_msk.nii.gz"))
    mask, expected = nib.load(out), nib.load(reference)
    assert mask.shape == expected.shape
    assert mask.header.get_zooms() == expected.header.get_zooms()
    np.testing.assert_allclose(mask.affine, expected.affine)
    code, printed, error = command("score", "--pred", out, "--truth", reference, "--json")
    assert code == 0, error
    assert 0 <= json.loads(printed)[0]["dice"] <= 1


def test_the_mask_is_the_written_probability_above_the_threshold(
    command: Callable[..., tuple[int, str, str]], cohort: Path, weights: Path, tmp_path: Path
) -> None:
    """``--probability`` writes what the mask was cut from; the line states voxels and volume."""
    out, probability = tmp_path / "mask.nii.gz", tmp_path / "p.nii.gz"
    code, printed, error = command(
        "predict", "edd_muscle", "--checkpoint", weights, "--out", out,
        "--case", cohort / "ISLES-2022" / "sub-strokecase0002", "--probability", probability,
    )  # fmt: skip
    assert code == 0, error
    mask = np.asarray(nib.load(out).dataobj)
    values = nib.load(probability).get_fdata()
    np.testing.assert_array_equal(mask, values > 0.5)
    count = int(mask.sum())
    assert f"{count} voxels, {count * 8 / 1000:.2f} ml" in " ".join(printed.split())


def test_a_run_that_has_its_record_is_not_repeated(
    command: Callable[..., tuple[int, str, str]], cohort: Path, runs: Path
) -> None:
    """The second run leaves the record's bytes alone and says in a dry run that it is there."""
    record = next(runs.glob("edd_muscle/*.json"))
    before = record.stat().st_mtime_ns
    code, printed, error = command(*SMOKE, "--root", cohort, "--results-dir", runs)
    assert code == 0, error
    assert "weights in" in printed
    assert record.stat().st_mtime_ns == before
    words = (*SMOKE[:-2], "--results-dir", runs, "--dry-run")
    code, printed, _ = command(*words, "--json")
    assert code == 0
    assert [row["state"] for row in json.loads(printed)] == ["there", "to run", "to run"]
    code, printed, _ = command(*words, "--force", "--json")
    assert {row["state"] for row in json.loads(printed)} == {"to run"}


def test_own_settings_need_a_name_and_are_compared_with_the_main_run(
    command: Callable[..., tuple[int, str, str]], cohort: Path, runs: Path
) -> None:
    """``run --set`` makes a run of its own, ``compare`` sets it beside the main one."""
    base = (*SMOKE, "--root", cohort, "--results-dir", runs)
    code, _, error = command(*base, "--set", "patch_px=48")
    assert code == 2
    assert "--name" in one_line(error)
    assert command(*base, "--set", "patch_px=48", "--name", "my-own")[0] == 0
    words = (
        "compare", "edd_muscle", "main", "my-own", "--profile", "smoke", "--data", "isles2022",
        "--results-dir", runs,
    )  # fmt: skip
    code, printed, error = command(*words, "--json")
    assert code == 0, error
    result = json.loads(printed)
    assert result["tests"][0]["n"] + result["tests"][0]["n_dropped"] == 3
    code, printed, error = command(*words)
    assert code == 0, error
    assert "paired differences" in printed
    assert "test cases of isles2022" in printed


def test_compare_takes_the_records_of_one_cohort_only(
    command: Callable[..., tuple[int, str, str]], runs: Path
) -> None:
    """The same experiment on other data is not mixed in; without records of it one line says so."""
    made = next(runs.glob("edd_muscle/*.json"))
    other = made.with_name(made.name.replace("isles2022", "phantom_dwi"))
    other.write_text(made.read_text().replace('"data": "isles2022"', '"data": "phantom_dwi"'))
    words = ("compare", "edd_muscle", "main", "main", "--profile", "smoke", "--results-dir", runs)
    for data in ("isles2022", "phantom"):
        code, printed, error = command(*words, "--data", data, "--json")
        assert code == 0, error
        assert {row["n"] + row["n_undefined"] for row in json.loads(printed)["summary"]} == {3}
    other.unlink()
    code, _, error = command(*words)
    assert code == 1
    assert "no record of 'main'" in one_line(error)
    code, _, error = command(*words, "--data", "isles2023")
    assert code == 2
    assert "did you mean isles2022" in one_line(error)


def test_show_prints_provenance_and_records(
    command: Callable[..., tuple[int, str, str]], runs: Path
) -> None:
    """Every setting appears with its source; what people read names the record too."""
    code, printed, error = command("show", "edd_muscle", "--results-dir", runs)
    assert code == 0, error
    assert "10.1016/j.nicl.2017.06.016" in printed
    assert "Sec. 3.4" in printed
    code, printed, error = command("show", "edd_muscle", "--results-dir", runs, "--json")
    assert code == 0, error
    kept = {row["record"]: row["code"] for row in json.loads(printed)["records"]}
    assert kept["main-smoke-isles2022-f0-s0"] == "as now"
    settings = {row["name"]: row for row in json.loads(printed)["settings"]}
    assert settings["lr"]["kind"] == "stated"
    assert settings["lr"]["source"] == "Sec. 3.4"


def test_data_list_names_licence_and_access(
    command: Callable[..., tuple[int, str, str]],
) -> None:
    """Every data set says under what terms and how it is obtained."""
    code, printed, _ = command("data", "list", "--json")
    assert code == 0
    rows = {row["name"]: row for row in json.loads(printed)}
    assert rows["isles2022"]["licence"]
    assert rows["isles2022"]["access"]


def test_folders_of_masks_are_scored_case_by_case(
    command: Callable[..., tuple[int, str, str]],
    write_nifti: Callable[..., Path],
    tmp_path: Path,
) -> None:
    """16 of 8 + 16 pixels: Dice 2 x 8 / 24; the empty pair is undefined, in the table and below."""
    pred = masks(tmp_path / "pred", write_nifti, columns=2)
    truth = masks(tmp_path / "truth", write_nifti, columns=4)
    csv = tmp_path / "out" / "scores.csv"
    code, printed, error = command("score", "--pred", pred, "--truth", truth, "--csv", csv)
    assert code == 0, error
    assert "n = 2, undefined Dice (empty reference) in 1" in printed
    table = pd.read_csv(csv).set_index("case")
    assert table.loc["a", "dice"] == pytest.approx(2 / 3)
    assert np.isnan(table.loc["b", "dice"])
    assert list(csv.parent.iterdir()) == [csv]


def test_describe_writes_what_the_data_page_shows(
    command: Callable[..., tuple[int, str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command opens the given cohort and names the folder that was written."""
    asked = []

    def summarise(cohort: tuple, out: Path) -> Path:
        asked.append((cohort, out))
        return out / "phantom_dwi"

    monkeypatch.setattr("strokerepro.cli.data.load_cohort", lambda *a, progress: a)
    monkeypatch.setattr("strokerepro.cli.data.summarise_phantom", summarise)
    words = ("phantom", "describe", "phantom_dwi", "--out", tmp_path)
    code, printed, error = command(*words, "--root", "somewhere")
    assert code == 0, error
    assert f"written to {tmp_path / 'phantom_dwi'}" in " ".join(printed.split())
    assert command(*words)[0] == 0
    assert asked == [
        (("phantom_dwi", "somewhere"), tmp_path), (("phantom_dwi", None), tmp_path),
    ]  # fmt: skip


@pytest.mark.real_data
def test_the_real_case_is_segmented_and_scored(
    command: Callable[..., tuple[int, str, str]],
    weights: Path,
    real_data: Path,
    tmp_path: Path,
) -> None:
    """The real path works on a real scan; with smoke weights the score means nothing."""
    root = real_data / "isles2022_sample" / "ISLES-2022"
    out = tmp_path / "mask.nii.gz"
    code, _, error = command(
        "predict", "edd_muscle", "--checkpoint", weights, "--out", out,
        "--case", root / "sub-strokecase0009",
    )  # fmt: skip
    assert code == 0, error
    reference = next((root / "derivatives").rglob("*_msk.nii.gz"))
    code, printed, error = command("score", "--pred", out, "--truth", reference, "--json")
    assert code == 0, error
    assert json.loads(printed)[0]["volume_ml_truth"] == pytest.approx(523 * 8 / 1000)


def test_two_workers_make_the_record_of_one(
    command: Callable[..., tuple[int, str, str]], cohort: Path, trained: Path, tmp_path: Path
) -> None:
    """Runs side by side in processes of their own give the scores of a single run."""
    words = ["--root", cohort, "--results-dir", tmp_path, "--folds", "0,1", "--workers", "2"]
    code, _, error = command(*SMOKE, *words)
    assert code == 0, error
    assert len(list(tmp_path.rglob("*.json"))) == 2
    made = next(trained.glob("edd_muscle/*-f0-*.json"))
    again = tmp_path / "edd_muscle" / made.name
    assert json.loads(again.read_text())["rows"] == json.loads(made.read_text())["rows"]


def test_a_fault_in_a_worker_is_one_line(
    command: Callable[..., tuple[int, str, str]], write_cohort: Callable[..., Path], tmp_path: Path
) -> None:
    """The error of a worker process reaches the terminal as that of a single run would."""
    root = write_cohort(tmp_path / "data", cases=6)
    for path in root.rglob("*_adc.nii.gz"):
        path.write_bytes(b"nothing")
    words = ["--root", root, "--results-dir", tmp_path / "runs", "--folds", "0,1", "--workers", "2"]
    code, _, error = command(*SMOKE, *words)
    assert code == 1
    assert "adc.nii.gz" in one_line(error)
