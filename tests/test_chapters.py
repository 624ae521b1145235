"""Chapters: source to notebook, honest failures, and pages about the records."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
import pytest

from strokerepro import chapters
from strokerepro.chapters import build, estimates, status
from strokerepro.errors import InputError, UsageError
from strokerepro.papers import get_recipe
from strokerepro.records import RunRecord, save_record

SOURCE = """# %% [markdown]
# # A chapter

# %% tags=["parameters"]
profile: str = "quick"
seed: int = 0

# %% tags=["nbval-check-output"]
print(profile, seed)
"""
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writer of a chapter's source into a repository: ``write(text, slug)`` returns the root."""

    def _write(text: str = SOURCE, slug: str = "demo") -> Path:
        path = tmp_path / "book" / "src" / f"{slug}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return tmp_path

    return _write


@pytest.fixture(autouse=True)
def _operations(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seven runs of 3.6e16 multiply-accumulates: counting those of all experiments takes long."""
    monkeypatch.setattr(estimates, "_operations", lambda slug, profile: (7, 3.6e16))


def _record(**changes: Any) -> RunRecord:
    rows = [
        {"case_id": "a", "split": "test", "output": "edd_muscle", "dice": 0.5},
        {"case_id": "b", "split": "test", "output": "edd_muscle", "dice": 0.7},
        {"case_id": "c", "split": "test", "output": "edd_muscle", "dice": float("nan")},
        {"case_id": "a", "split": "test", "output": "edd", "dice": 0.1},
        {"case_id": "d", "split": "val", "output": "edd_muscle", "dice": 0.1},
    ]
    content: dict[str, Any] = {
        "slug": "edd_muscle", "name": "main", "profile": "quick", "data": "phantom_dwi",
        "fold": 0, "n_folds": 3, "seed": 0, "key": "k", "settings": {}, "splits": {},
        "rows": rows, "curves": {}, "timings_s": {}, "facts": {}, "notes": [],
        "created": "2026-11-20", "commit": "abc", "code": "def",
        "versions": {"python": "3.11.7", "torch": "2.13.0"}, "device": "2-core x86-64",
        "wall_s": 300.0, "peak_memory_mb": 1.0,
    }  # fmt: skip
    return RunRecord(**{**content, **changes})


def test_chapters_are_found_by_their_source(write: Write) -> None:
    """Every file in book/src is a chapter, in alphabetical order."""
    write(slug="zebra")
    assert chapters.chapter_slugs(write(slug="ant")) == ["ant", "zebra"]


def test_reading_a_source_twice_gives_the_same_notebook(write: Write) -> None:
    """Cell ids do not change from reading to reading."""
    source = write() / "book" / "src" / "demo.py"
    first, second = (nbformat.writes(chapters.read_source(source)) for _ in range(2))
    assert first == second
    nbformat.validate(nbformat.reads(first, as_version=4))


def test_outside_a_checkout_the_message_says_so(tmp_path: Path) -> None:
    """Without book/src the reader is told to clone the repository."""
    with pytest.raises(InputError, match="checkout of the repository"):
        chapters.chapter_slugs(tmp_path)


def test_executed_notebook_is_reproducible(write: Write) -> None:
    """Two executions give the same bytes, with outputs, tags and no trace of the tools."""
    root = write()
    first = chapters.execute_chapter("demo", root=root).read_bytes()
    again = chapters.execute_chapter("demo", root=root).read_bytes()
    assert first == again
    notebook = nbformat.reads(first.decode(), as_version=4)
    assert notebook.cells[2].outputs[0].text == "quick 0\n"
    assert notebook.cells[2].metadata == {"tags": ["nbval-check-output"]}
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    assert [cell.execution_count for cell in notebook.cells[1:]] == [1, 2]


def test_only_changed_parameters_are_injected(write: Write) -> None:
    """A value equal to the source's adds no cell; another one does, and is used."""
    root = write()
    source = root / "book" / "src" / "demo.py"
    path = chapters.execute_chapter("demo", parameters={"profile": "quick"}, root=root)
    assert chapters.notebook_in_sync(source, path)
    chapters.execute_chapter("demo", parameters={"profile": "quick", "seed": 3}, root=root)
    assert "quick 3" in path.read_text()
    assert not chapters.notebook_in_sync(source, path)


def test_misspelt_parameter_is_refused(write: Write) -> None:
    """A parameter that the chapter lacks is refused with the nearest name, before anything runs."""
    root = write()
    with pytest.raises(UsageError, match=r"'profil'.*did you mean profile"):
        chapters.execute_chapter("demo", parameters={"profil": "full"}, root=root)
    assert not (root / "book" / "demo.ipynb").exists()


def test_unknown_chapter_lists_the_known(write: Write) -> None:
    """An unknown chapter is refused with the nearest name."""
    with pytest.raises(UsageError, match="did you mean demo"):
        chapters.execute_chapter("demos", root=write())


def test_failing_cell_is_one_line_and_leaves_no_notebook(write: Write) -> None:
    """The message names the chapter, the cell, its first line and the error."""
    root = write(SOURCE + '\n# %%\n\nraise ValueError("no record main")\n')
    with pytest.raises(InputError) as caught:
        chapters.execute_chapter("demo", root=root)
    message = str(caught.value)
    assert "chapter demo, code cell 3 (raise ValueError" in message
    assert "ValueError: no record main" in message
    assert "\n" not in message
    assert list((root / "book").glob("*.ipynb")) == []


def test_debug_lets_the_traceback_pass(write: Write) -> None:
    """With debug the original error passes, traceback and all."""
    root = write("# %%\n1 / 0\n")
    with pytest.raises(Exception, match="ZeroDivisionError"):
        chapters.execute_chapter("demo", root=root, debug=True)


def test_edited_source_is_out_of_sync(write: Write) -> None:
    """A changed cell, a changed tag or a missing notebook is noticed; outputs do not matter."""
    root = write()
    source, notebook = root / "book" / "src" / "demo.py", root / "book" / "demo.ipynb"
    assert not chapters.notebook_in_sync(source, notebook)
    nbformat.write(chapters.read_source(source), notebook)
    assert chapters.notebook_in_sync(source, notebook)
    write(SOURCE.replace("nbval-check-output", "hide-input"))
    assert not chapters.notebook_in_sync(source, notebook)
    write(SOURCE.replace("print(profile, seed)", "print(seed)"))
    assert not chapters.notebook_in_sync(source, notebook)


def test_failed_build_shows_the_warnings(write: Write, tmp_path: Path) -> None:
    """A broken book fails with the lines that say why, in one line."""
    root = write()
    (root / "_config.yml").write_text("title: broken\n")
    (root / "_toc.yml").write_text("format: jb-book\nroot: book/missing\n")
    with pytest.raises(InputError, match="missing") as caught:
        build.build_html(root=root)
    assert "\n" not in str(caught.value)


def test_strict_build_refuses_a_warning_that_a_loose_one_passes(write: Write) -> None:
    """A reference to nowhere fails the strict build, also when built a second time."""
    root = write()
    (root / "book" / "index.md").write_text("# Title\n\n[nowhere](nowhere.md)\n")
    (root / "_config.yml").write_text('title: t\nexecute: {execute_notebooks: "off"}\n')
    (root / "_toc.yml").write_text("format: jb-book\nroot: book/index\n")
    assert (build.build_html(strict=False, root=root) / "book" / "index.html").is_file()
    with pytest.raises(InputError, match="nowhere"):
        build.build_html(root=root)


def test_status_without_records_says_so(write: Write) -> None:
    """No record is not an error: the page says that there is none yet."""
    assert "No record has been committed yet" in chapters.write_status(write()).read_text()


def test_status_names_machine_versions_and_date(write: Write) -> None:
    """One line per chapter, profile and machine: how many records, versions, date, total time."""
    root = write()
    for fold in range(3):
        save_record(_record(fold=fold), root / "book" / "results")
    lines = chapters.write_status(root).read_text().splitlines()
    assert lines[-1] == (
        "| [edd_muscle](edd_muscle.ipynb) | quick | `phantom_dwi` | 3 | 2-core x86-64 | "
        "python 3.11.7, torch 2.13.0 | 2026-11-20 | 15 min |"
    )


def test_expected_dice_is_of_the_main_output_on_test_cases() -> None:
    """0.5 and 0.7 give 0.60 with SD 0.10; NaN, other outputs, splits and runs do not count."""
    records = [_record(), _record(name="patch_32")]
    assert status.expected_dice("edd_muscle", records) == "0.60 ± 0.10 (n = 2)"
    assert status.expected_dice("edd_muscle", [_record(name="patch_32")]) == "n/a"


def test_costs_replace_only_the_marked_block(write: Write) -> None:
    """Text around the marks stays, and a second writing changes nothing."""
    root = write()
    save_record(_record(), root / "book" / "results")
    readme = root / "README.md"
    readme.write_text(f"before\n{status.COSTS_BEGIN}\nold\n{status.COSTS_END}\nafter\n")
    first = chapters.write_costs(root).read_text()
    assert first.startswith("before\n")
    assert first.endswith("\nafter\n")
    assert "old" not in first
    assert "0.60 ± 0.10 (n = 2)" in first
    assert chapters.write_costs(root).read_text() == first


def test_large_profiles_without_a_record_are_estimated_and_say_so() -> None:
    """The measured main run gives the CPU's speed; a profile with a record is not guessed."""
    recipe = get_recipe("edd_muscle")
    measured = _record(wall_s=recipe.method.cost(recipe.profile("quick").settings) / 1e10)
    table = status.costs_table({"edd_muscle": [measured]})
    rows = [line for line in table.splitlines() if "estimate" in line]
    assert len(rows) == 4  # two profiles, each on this CPU and on a GPU
    assert sum("2-core x86-64 | 7 | *estimate:* 1000 h" in row for row in rows) == 2
    assert sum("GPU, 10 TFLOP/s | 7 | *estimate:* 2.0 h" in row for row in rows) == 2
    assert all(row.endswith("unknown: no record |") for row in rows)
    done = [measured, _record(profile="full", device="H200")]
    kept = status.costs_table({"edd_muscle": done}).splitlines()
    assert not any("`full`" in row and "estimate" in row for row in kept)


def test_costs_need_their_marks(write: Write) -> None:
    """A README that lost a mark is refused and not changed."""
    root = write()
    (root / "README.md").write_text(f"text {status.COSTS_BEGIN}")
    with pytest.raises(InputError, match="both marks"):
        chapters.write_costs(root)


def test_broken_record_is_named(write: Write) -> None:
    """A truncated record is named instead of being left out."""
    root = write()
    path = save_record(_record(), root / "book" / "results")
    path.write_text(path.read_text()[:50])
    with pytest.raises(InputError, match=path.name):
        chapters.write_status(root)


def test_overview_shows_the_median_case(write: Write) -> None:
    """The README's picture is drawn from the pictures of a committed record."""
    root = write()
    mask = np.zeros((3, 16, 16), np.uint8)
    mask[:, 4:8, 4:8] = 1
    names = ("image", "truth", "edd_muscle")
    save_record(_record(), root / "book" / "results", {f"median/{name}": mask for name in names})
    assert chapters.write_overview(root=root).read_bytes().startswith(b"\x89PNG")


def test_overview_without_pictures_says_what_is_missing(write: Write) -> None:
    """Without a record there is one clear line."""
    with pytest.raises(InputError, match="record with pictures"):
        chapters.write_overview(root=write())


def test_durations_are_told_in_fitting_units() -> None:
    """Seconds, minutes and hours, without decimals that nobody needs."""
    assert [status._duration(value) for value in (12.3, 600, 7200, 3.6e6)] == [
        "12 s", "10 min", "2.0 h", "1000 h",
    ]  # fmt: skip


def test_records_are_found_by_chapter(write: Write) -> None:
    """What was written is what is read back."""
    root = write()
    path = save_record(_record(), root / "book" / "results")
    assert [record.stem for record in status.read_records(root)["edd_muscle"]] == [path.stem]
