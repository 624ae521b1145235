"""The command line does the whole way, and answers bad input with one line and an exit code."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from strokerepro.cli import main


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run the command line and return exit code, standard output and standard error."""

    def call(*words: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as caught:
            main([str(word) for word in words])
        printed = capsys.readouterr()
        return int(caught.value.code or 0), printed.out, printed.err

    return call


def trained(command: Callable[..., tuple[int, str, str]], root: Path, runs: Path) -> Path:
    """Train the smoke profile and return the weights."""
    code, _, error = command(
        "run", "edd_muscle", "--profile", "smoke", "--data", "isles2022", "--root", root,
        "--folds", "0", "--results-dir", runs,
    )  # fmt: skip
    assert code == 0, error
    return next(runs.glob("edd_muscle/*.ckpt"))


def one_line(error: str) -> str:
    """The single line of an error, without progress lines."""
    lines = [line for line in error.splitlines() if line.startswith("strokerepro:")]
    assert len(lines) == 1, error
    assert "Traceback" not in error
    return lines[0]


def test_run_predict_and_score_go_the_whole_way(
    command: Callable[..., tuple[int, str, str]], tiny_cohort: Callable[..., Path], tmp_path: Path
) -> None:
    """Train, segment a case on its own grid, score it: the mask has the case's grid and header."""
    root = tiny_cohort(cases=6)
    weights = trained(command, root, tmp_path / "runs")
    case = root / "ISLES-2022" / "sub-strokecase0001"
    out = tmp_path / "out" / "mask.nii.gz"
    code, printed, error = command(
        "predict", "edd_muscle", "--checkpoint", weights, "--case", case, "--out", out, "--json"
    )
    assert code == 0, error
    assert set(json.loads(printed)["seconds"]) == {"preprocess", "segmenter", "muscle"}
    truth = root / "ISLES-2022/derivatives/sub-strokecase0001/ses-0001"
    reference = next(truth.glob("*_msk.nii.gz"))
    mask, expected = nib.load(out), nib.load(reference)
    assert mask.shape == expected.shape
    assert mask.header.get_zooms() == expected.header.get_zooms()
    np.testing.assert_allclose(mask.affine, expected.affine)
    code, printed, error = command("score", "--pred", out, "--truth", reference, "--json")
    assert code == 0, error
    assert 0 <= json.loads(printed)[0]["dice"] <= 1


def test_a_run_that_has_its_record_is_not_repeated(
    command: Callable[..., tuple[int, str, str]], tiny_cohort: Callable[..., Path], tmp_path: Path
) -> None:
    """The second run leaves the record's bytes alone and says in a dry run that it is there."""
    root, runs = tiny_cohort(cases=6), tmp_path / "runs"
    trained(command, root, runs)
    record = next(runs.glob("edd_muscle/*.json"))
    before = record.stat().st_mtime_ns
    trained(command, root, runs)
    assert record.stat().st_mtime_ns == before
    code, printed, _ = command(
        "run", "edd_muscle", "--profile", "smoke", "--data", "isles2022", "--results-dir", runs,
        "--dry-run", "--json",
    )  # fmt: skip
    assert code == 0
    assert [row["state"] for row in json.loads(printed)] == ["there", "to run", "to run"]


def test_own_settings_need_a_name_and_are_compared_with_the_main_run(
    command: Callable[..., tuple[int, str, str]], tiny_cohort: Callable[..., Path], tmp_path: Path
) -> None:
    """``run --set`` makes a run of its own, ``compare`` sets it beside the main one."""
    root, runs = tiny_cohort(cases=9), tmp_path / "runs"
    base = (
        "run", "edd_muscle", "--profile", "smoke", "--data", "isles2022", "--root", root,
        "--folds", "0", "--results-dir", runs,
    )  # fmt: skip
    assert command(*base)[0] == 0
    code, _, error = command(*base, "--set", "patch_px=48")
    assert code == 2
    assert "--name" in one_line(error)
    assert command(*base, "--set", "patch_px=48", "--name", "mine")[0] == 0
    code, printed, error = command(
        "compare", "edd_muscle", "main", "mine", "--profile", "smoke", "--results-dir", runs,
        "--json",
    )  # fmt: skip
    assert code == 0, error
    result = json.loads(printed)
    assert result["tests"][0]["n"] + result["tests"][0]["n_dropped"] == 3


@pytest.mark.parametrize(
    ("words", "exit_code", "says"),
    [
        (["run", "edd_muscel"], 2, "did you mean edd_muscle"),
        (["run", "edd_muscle", "--ablation", "unpool_nearst"], 2, "unpool_nearest"),
        (["run", "edd_muscle", "--profile", "quik"], 2, "did you mean quick"),
        (["run", "edd_muscle", "--device", "tpu"], 2, "device"),
        (["run", "edd_muscle", "--folds", "zero"], 2, "--folds zero"),
        (["run", "edd_muscle", "--data", "isles2022"], 2, "--root"),
        (["run", "edd_muscle", "--set", "patch_px", "--name", "x"], 2, "FIELD=VALUE"),
        (["run"], 2, "slug"),
        (["nonsense"], 2, "nonsense"),
        (["show", "edd_muscel"], 2, "did you mean edd_muscle"),
        (["compare", "edd_muscle", "main", "never_run", "--profile", "smoke"], 1, "no record"),
        (["data", "verify", "isles2023", "--root", "."], 2, "did you mean isles2022"),
        (["phantom", "make", "dwj", "--out", "x"], 2, "dwi"),
        (["score", "--pred", "absent", "--truth", "absent"], 1, "absent"),
    ],
)
def test_wrong_use_is_one_line_with_the_right_exit_code(
    command: Callable[..., tuple[int, str, str]],
    words: list[str],
    exit_code: int,
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Unknown names list the nearest; nothing is written."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STROKEREPRO_CACHE", str(tmp_path / "cache"))
    code, _, error = command(*words)
    assert (code, says in one_line(error)) == (exit_code, True), error
    assert list(tmp_path.iterdir()) == []


def break_missing(case: Path) -> None:
    next(case.glob("ses-0001/dwi/*_dwi.nii.gz")).unlink()


def break_truncated(case: Path) -> None:
    path = next(case.glob("ses-0001/dwi/*_dwi.nii.gz"))
    path.write_bytes(path.read_bytes()[:-200])


def break_foreign(case: Path) -> None:
    path = next(case.glob("ses-0001/dwi/*_dwi.nii.gz"))
    path.write_bytes(gzip.compress(b"no image at all"))


def _rewrite(case: Path, change: Callable[[np.ndarray, np.ndarray], tuple]) -> None:
    path = next(case.glob("ses-0001/dwi/*_adc.nii.gz"))
    image = nib.load(path)
    data, affine = change(np.asarray(image.dataobj).copy(), image.affine.copy())
    nib.save(nib.Nifti1Image(data, affine), path)


def break_shape(case: Path) -> None:
    _rewrite(case, lambda data, affine: (data[:-1], affine))


def break_affine(case: Path) -> None:
    _rewrite(case, lambda data, affine: (data, affine + np.eye(4)[:, ::-1]))


def break_nan(case: Path) -> None:
    def poison(data: np.ndarray, affine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        data[2, 2, 2] = np.nan
        return data, affine

    _rewrite(case, poison)


def break_everything(case: Path) -> None:
    for folder in (case, case.parent / "derivatives"):
        shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (break_missing, "dwi"),
        (break_truncated, "dwi.nii.gz"),
        (break_foreign, "dwi.nii.gz"),
        (break_shape, "adc.nii.gz of shape"),
        (break_affine, "adc.nii.gz"),
        (break_nan, "NaN"),
    ],
)
def test_a_damaged_case_stops_a_run_with_one_line_that_names_the_file(
    command: Callable[..., tuple[int, str, str]],
    tiny_cohort: Callable[..., Path],
    tmp_path: Path,
    damage: Callable[[Path], None],
    says: str,
) -> None:
    """Nothing half-written is left of the run."""
    root = tiny_cohort(cases=6)
    for number in range(1, 7):
        damage(root / "ISLES-2022" / f"sub-strokecase{number:04d}")
    runs = tmp_path / "runs"
    code, _, error = command(
        "run", "edd_muscle", "--profile", "smoke", "--data", "isles2022", "--root", root,
        "--folds", "0", "--results-dir", runs,
    )  # fmt: skip
    assert code == 1
    assert says in one_line(error)
    assert not list(runs.rglob("*.*"))


def test_an_empty_folder_says_how_to_obtain_the_data(
    command: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    """A newcomer learns what is expected and where it comes from."""
    (tmp_path / "empty").mkdir()
    code, _, error = command(
        "run", "edd_muscle", "--data", "isles2022", "--root", tmp_path / "empty",
        "--results-dir", tmp_path / "runs",
    )  # fmt: skip
    assert code == 1
    assert "zenodo" in one_line(error).lower() or "fetch" in one_line(error)


def test_a_broken_checkpoint_is_named(
    command: Callable[..., tuple[int, str, str]], tiny_cohort: Callable[..., Path], tmp_path: Path
) -> None:
    """Prediction with something that is no checkpoint writes no mask."""
    weights = tmp_path / "x.ckpt"
    weights.write_bytes(b"nothing")
    case = tiny_cohort(cases=1) / "ISLES-2022" / "sub-strokecase0001"
    out = tmp_path / "m.nii.gz"
    code, _, error = command(
        "predict", "edd_muscle", "--checkpoint", weights, "--case", case, "--out", out
    )
    assert code == 1
    assert "x.ckpt" in one_line(error)
    assert not out.exists()


def test_show_prints_provenance_and_records(
    command: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    """Every setting appears with its source."""
    code, printed, error = command("show", "edd_muscle", "--results-dir", tmp_path, "--json")
    assert code == 0, error
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


@pytest.mark.real_data
def test_the_real_case_is_segmented_and_scored(
    command: Callable[..., tuple[int, str, str]],
    tiny_cohort: Callable[..., Path],
    real_data: Path,
    tmp_path: Path,
) -> None:
    """The real path works on a real scan; with smoke weights the score means nothing."""
    weights = trained(command, tiny_cohort(cases=6), tmp_path / "runs")
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
