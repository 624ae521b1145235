"""Contrasts of experiments, in a table and in words; what was never run shows its command."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from strokerepro.errors import InputError
from strokerepro.experiment import command, jobs
from strokerepro.papers.base import Recipe
from strokerepro.report.judging import Records, compare
from strokerepro.report.layout import Note
from strokerepro.report.published import NOT_RUN
from strokerepro.report.statistics import PairedTest, holm

_ALPHA = 0.05
_COLUMNS = [
    "contrast", "metric", "paper", "ours", "95 % interval", "p, t-test", "p, Holm", "n", "data",
    "to run",
]  # fmt: skip


@dataclass(frozen=True)
class Contrast:
    """A difference that is looked at: first minus second, on the same test cases.

    Attributes
    ----------
    label
        What changes from the second method to the first, in words.
    first, second
        Methods ``run/output``.
    metric
        Key of a row of scores.
    published
        The paper's difference, if it prints one.
    """

    label: str
    first: str
    second: str
    metric: str = "dice"
    published: float | None = None

    @property
    def runs(self) -> tuple[str, ...]:
        """Experiments whose records are needed, each once."""
        return tuple(dict.fromkeys(method.split("/")[0] for method in (self.first, self.second)))


def run_command(
    recipe: Recipe,
    name: str,
    data: str = "phantom",
    *,
    folds: Sequence[int] | None = None,
    seed: int = 0,
) -> str:
    """Command line that makes the records of an experiment at the recipe's profile.

    Parameters are those of `strokerepro.experiment.jobs`.

    Raises
    ------
    UsageError
        The recipe has no such experiment, cohort or fold.
    """
    return command(*jobs(recipe.ablation(name), data=data, folds=folds, seed=seed))


def not_run(
    recipe: Recipe,
    records: Records,
    *names: str,
    data: str = "phantom",
    folds: Sequence[int] | None = None,
    seed: int = 0,
) -> Note | None:
    """Say which of some experiments have no record, and how to make them; None if all have one.

    Parameters
    ----------
    recipe
        At its profile.
    records
        Records by experiment.
    *names
        What is needed.
    data, folds, seed
        As in `strokerepro.experiment.jobs`.
    """
    lacking = [name for name in names if not records.get(name)]
    if not lacking:
        return None
    made = (run_command(recipe, name, data, folds=folds, seed=seed) for name in lacking)
    commands = ", ".join(f"`{line}`" for line in made)
    return Note(f"*Not run yet:* {', '.join(f'`{name}`' for name in lacking)}. Make it: {commands}")


def contrast_table(
    recipe: Recipe,
    rows: pd.DataFrame,
    contrasts: Sequence[Contrast],
    data: str = "phantom",
    *,
    folds: Sequence[int] | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """One row a contrast: the paper's difference, ours with its interval and tests, or a command.

    Parameters
    ----------
    recipe
        At its profile.
    rows
        As `method_rows` gives, or an empty table where nothing was run.
    contrasts
        One family; Holm's correction is over those of it that could be tested.
    data, folds, seed
        Of the commands, as in `strokerepro.experiment.jobs`.

    Returns
    -------
    pandas.DataFrame
        Text, for `TextTable`; a number that does not exist is ``-``.
    """
    tests = _tests(rows, contrasts)
    adjusted = _adjusted(tests)
    lines = []
    for item, test, p_holm in zip(contrasts, tests, adjusted, strict=True):
        line = dict.fromkeys(_COLUMNS, "-")
        line |= {"contrast": item.label, "metric": item.metric, "paper": _signed(item.published)}
        if isinstance(test, PairedTest):
            line |= {
                "ours": _signed(test.mean_difference),
                "95 % interval": f"{test.ci_low:.3f} to {test.ci_high:.3f}",
                "p, t-test": f"{test.p_t:.2g}",
                "p, Holm": f"{p_holm:.2g}",
                "n": str(test.n),
                "data": _data_of(rows, item),
            }
        else:
            line["to run"] = test or _commands(recipe, rows, item, data, folds, seed)
        lines.append(line)
    return pd.DataFrame(lines, columns=_COLUMNS)


def contrast_intervals(rows: pd.DataFrame, contrasts: Sequence[Contrast]) -> pd.DataFrame:
    """Differences with their 95 % intervals as numbers, for `strokerepro.figures.paper_vs_ours`.

    Parameters
    ----------
    rows, contrasts
        As for `contrast_table`.

    Returns
    -------
    pandas.DataFrame
        Columns ``row`` (label), ``metric``, ``paper``, ``ours``, ``ours_low``, ``ours_high`` (NaN
        where there is no number) and ``data``, or why there is none.
    """
    lines = []
    for item, test in zip(contrasts, _tests(rows, contrasts), strict=True):
        line: dict[str, object] = {"row": item.label, "metric": f"difference of {item.metric}"}
        line |= {"paper": item.published, "data": test or NOT_RUN}
        if isinstance(test, PairedTest):
            line |= {"ours": test.mean_difference, "data": _data_of(rows, item)}
            line |= {"ours_low": test.ci_low, "ours_high": test.ci_high}
        lines.append(line)
    numbers = ["paper", "ours", "ours_low", "ours_high"]
    table = pd.DataFrame(lines, columns=["row", "metric", *numbers, "data"])
    return table.astype(dict.fromkeys(numbers, float))


def contrast_words(
    recipe: Recipe,
    rows: pd.DataFrame,
    contrasts: Sequence[Contrast],
    data: str = "phantom",
    *,
    folds: Sequence[int] | None = None,
    seed: int = 0,
) -> Note:
    """Say in a list what each contrast shows: a rise, a fall, or no difference.

    A difference counts as shown if the t-test rejects at 5 % after Holm's correction over the
    family. A contrast that cannot be tested has its reason. Those that were not run are counted in
    the end, and named if there are none else. Parameters are those of `contrast_table`.
    """
    tests = _tests(rows, contrasts)
    adjusted = _adjusted(tests)
    lines = [
        f"- {item.label}: {_in_words(item, test, p) if isinstance(test, PairedTest) else test}."
        for item, test, p in zip(contrasts, tests, adjusted, strict=True)
        if test
    ]
    silent = [item for item, test in zip(contrasts, tests, strict=True) if not test]
    if silent and lines:
        lines.append(f"- Without a number so far: {len(silent)} of {len(contrasts)}.")
    elif silent:
        commands = dict.fromkeys(
            _commands(recipe, rows, item, data, folds, seed) for item in silent
        )
        lines.append(f"*Not run yet:* {'; '.join(f'`{command}`' for command in commands)}")
    return Note("\n".join(lines))


def _tests(rows: pd.DataFrame, contrasts: Sequence[Contrast]) -> list[PairedTest | str]:
    """Test of each contrast; "" where a run is missing, a reason where no test is possible."""
    known = set(rows["method"]) if len(rows) else set()
    found: list[PairedTest | str] = []
    for item in contrasts:
        if not {item.first, item.second} <= known:
            found.append("")
            continue
        try:
            found.append(compare(rows, item.first, item.second, item.metric))
        except InputError as error:  # too few defined pairs
            found.append(f"not testable: {error}")
    return found


def _adjusted(tests: Sequence[PairedTest | str]) -> list[float]:
    """Holm's p of the tests that exist; NaN for the others."""
    places = [index for index, test in enumerate(tests) if isinstance(test, PairedTest)]
    adjusted = [float("nan")] * len(tests)
    p_values = [test.p_t for test in tests if isinstance(test, PairedTest)]
    for index, p in zip(places, holm(p_values) if p_values else [], strict=True):
        adjusted[index] = float(p)
    return adjusted


def _in_words(item: Contrast, test: PairedTest, p_holm: float) -> str:
    numbers = (
        f"{test.mean_difference:+.3f} (95 % CI {test.ci_low:+.3f} to {test.ci_high:+.3f}, "
        f"p = {p_holm:.2g} after Holm's correction, n = {test.n})"
    )
    if p_holm < _ALPHA:
        said = f"{item.metric} {'rises' if test.mean_difference > 0 else 'falls'}, {numbers}"
    else:
        said = f"no difference of {item.metric} shown, {numbers}"
        if test.detectable_difference:
            least = f"{test.detectable_difference:.2g}"
            said += f"; one of {least} would have been found with a power of 80 %"
    if item.published is None:
        return said
    if p_holm < _ALPHA:
        sign = "this" if (test.mean_difference > 0) == (item.published > 0) else "the other"
        return f"{said}; the paper's {_signed(item.published)} has {sign} sign"
    return f"{said}; the paper has {_signed(item.published)}"


def _commands(
    recipe: Recipe,
    rows: pd.DataFrame,
    item: Contrast,
    data: str,
    folds: Sequence[int] | None,
    seed: int,
) -> str:
    have = set(rows["name"]) if len(rows) else set()
    lacking = [run for run in item.runs if run not in have]
    if not lacking:
        return "no such output in the records"
    made = (run_command(recipe, run, data, folds=folds, seed=seed) for run in lacking)
    return "; ".join(made)


def _data_of(rows: pd.DataFrame, item: Contrast) -> str:
    return ", ".join(sorted(set(rows.loc[rows["method"] == item.first, "data"])))


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{value:+.3f}"
