"""Bad input, wrong use, a full disk and Ctrl-C are one line, an exit code, and no half files."""

from __future__ import annotations

import errno
import gzip
import os
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from strokerepro.cli import main

from .helpers import SMOKE, masks, one_line


def test_ctrl_c_ends_a_run_with_one_line_and_the_shells_exit_code(
    command: Callable[..., tuple[int, str, str]],
    cohort: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The exit code is 1, the line says how to continue, and there is no record."""

    def interrupt(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("strokerepro.cohort.Cohort.__getitem__", interrupt)
    code, _, error = command(*SMOKE, "--root", cohort, "--results-dir", tmp_path / "runs")
    assert code == 1
    assert "continues where it stopped" in one_line(error)
    assert not list(tmp_path.rglob("*.json"))


def test_a_full_disk_is_named_and_leaves_no_record(
    command: Callable[..., tuple[int, str, str]],
    cohort: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first checkpoint does not fit: one line, exit code 1, no file."""

    def full(path: Path, content: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    code, _, error = command(*SMOKE, "--root", cohort, "--results-dir", tmp_path / "runs")
    assert code == 1
    assert "full disk" in one_line(error)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (OSError("a message\nof two lines"), "a message of two lines"),
        (PermissionError(errno.EACCES, "Permission denied", "/x/y"), "permission denied: /x/y"),
        (RuntimeError("first\nsecond"), "RuntimeError: first second; fix: --debug"),
    ],
)
def test_any_error_is_one_line_and_debug_shows_it_whole(
    command: Callable[..., tuple[int, str, str]],
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    says: str,
) -> None:
    """What no one foresaw still gives a line and exit code 1; ``--debug`` lets it through."""

    def fail() -> None:
        raise error

    monkeypatch.setattr("strokerepro.cli.data.manifest_names", fail)
    code, _, printed = command("data", "list")
    assert code == 1
    assert says in one_line(printed)
    assert len(printed.splitlines()) == 1
    with pytest.raises(type(error)):
        main(["--debug", "data", "list"])


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
        (["run", "edd_muscle", "--set", "patch_pix=1", "--name", "x"], 2, "did you mean patch_px"),
        (
            ["run", "edd_muscle", "--set", "lr=fast", "--name", "x"],
            2,
            "lr='fast'; expected a valid number",
        ),
        (["run", "edd_muscle", "--set", "arch=vnet", "--name", "x"], 2, "one of edd, deconvnet"),
        (["run", "edd_muscle", "--set", "lr=1", "--name", "main"], 2, "which is taken"),
        (["run", "edd_muscle", "--set", "lr=1", "--name", "../x"], 2, "--name ../x"),
        (["run", "edd_muscle", "--name", "x"], 2, "--name without --set"),
        (["run", "edd_muscle", "--ablation", "all", "--set", "lr=1", "--name", "x"], 2, "all"),
        (["run", "edd_muscle", "--seed", "-1"], 2, "seed -1"),
        (["run", "edd_muscle", "--folds", "7"], 2, "fold 7; expected 0 to"),
        (
            ["predict", "edd_muscle", "--checkpoint", "x", "--case", "x", "--out", "m.png"],
            2,
            "--out m.png",
        ),
        (
            [
                "predict",
                "edd_muscle",
                "--checkpoint",
                "x",
                "--case",
                "x",
                "--out",
                "m.nii",
                "--probability",
                "p.png",
            ],
            2,
            "--probability p.png",
        ),
        (
            ["predict", "edd_muscle", "--checkpoint", "x", "--case", "x", "--out", "m.nii"],
            1,
            "no file x",
        ),
        (["phantom", "describe", "phantom_dwj", "--out", "x"], 2, "did you mean phantom_dwi"),
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


def test_scores_that_cannot_be_written_leave_the_old_table(
    command: Callable[..., tuple[int, str, str]],
    write_nifti: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A full disk does not cut the table of last week."""

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    pred = masks(tmp_path / "pred", write_nifti, columns=2)
    csv = tmp_path / "out" / "scores.csv"
    csv.parent.mkdir()
    csv.write_text("old")
    monkeypatch.setattr(os, "fsync", full)
    code, _, error = command("score", "--pred", pred, "--truth", pred, "--csv", csv)
    assert code == 1
    assert "full disk" in one_line(error)
    assert csv.read_text() == "old"
    assert list(csv.parent.iterdir()) == [csv]


def test_a_prediction_without_its_reference_is_named(
    command: Callable[..., tuple[int, str, str]],
    write_nifti: Callable[..., Path],
    tmp_path: Path,
) -> None:
    """A folder that lacks one reference is not scored in part."""
    pred = masks(tmp_path / "pred", write_nifti, columns=2)
    truth = masks(tmp_path / "truth", write_nifti, columns=2)
    (truth / "b.nii.gz").unlink()
    code, printed, error = command("score", "--pred", pred, "--truth", truth)
    assert (code, printed) == (1, "")
    assert "first b.nii.gz" in one_line(error)
