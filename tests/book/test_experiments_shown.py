"""Every experiment of the chapter on ctp_gan has a line in one of its comparisons."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pandas as pd

from strokerepro import papers

BOOK = Path(__file__).resolve().parents[2] / "book"


def assigned(source: str, *names: str) -> dict[str, Any]:
    """Values that the cells of a chapter give to some names, in the order of the cells."""
    found: dict[str, Any] = {}
    for statement in ast.parse(source).body:
        targets = {
            ast.Assign: lambda item: item.targets,
            ast.AugAssign: lambda item: [item.target],
        }.get(type(statement), lambda _: [])(statement)
        if any(isinstance(target, ast.Name) and target.id in names for target in targets):
            exec(compile(ast.Module([statement], []), "chapter", "exec"), found)
    return {name: found[name] for name in names}


def test_every_experiment_is_compared_somewhere() -> None:
    """In a family of ablations, as a factor between stages, or as a head of the segmentor."""
    source = (BOOK / "src" / "ctp_gan.py").read_text()
    shown = assigned(source, "FAMILIES", "HEADS")
    starts = tuple(start for family in shown["FAMILIES"].values() for start in family)
    factors = pd.read_csv(BOOK / "tables" / "ctp_gan_factors.csv")
    steps = {*factors["first"], *factors["second"]}
    steps |= {run for pair in shown["HEADS"].values() for run in pair}
    ablations = papers.get_recipe("ctp_gan").ablations
    assert [name for name in ablations if name not in steps and not name.startswith(starts)] == []
    unused = [start for start in starts if not any(name.startswith(start) for name in ablations)]
    assert unused == []
