"""One recipe per paper, found by its slug: a new sub-package here is a new paper."""

from __future__ import annotations

import importlib
import pkgutil

from strokerepro.errors import UsageError
from strokerepro.papers.base import Recipe


def slugs() -> list[str]:
    """Slugs of the papers that have a recipe."""
    return [module.name for module in pkgutil.iter_modules(__path__) if module.ispkg]


def get_recipe(slug: str) -> Recipe:
    """Recipe of a paper.

    Parameters
    ----------
    slug
        For example ``"edd_muscle"``.

    Raises
    ------
    UsageError
        An unknown slug, with the nearest known ones.
    """
    if slug not in slugs():
        raise UsageError.unknown("paper", slug, slugs())
    recipe: Recipe = importlib.import_module(f"strokerepro.papers.{slug}").RECIPE
    return recipe
