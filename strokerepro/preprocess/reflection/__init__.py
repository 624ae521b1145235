"""Mirror lines of heads: fitting them, and mirroring images at them."""

from strokerepro.preprocess.reflection.fit import (
    ReflectionFit,
    ReflectionModel,
    Similarity,
    fit_reflection,
)
from strokerepro.preprocess.reflection.geometry import Reflection, reflect

__all__ = [
    "Reflection",
    "ReflectionFit",
    "ReflectionModel",
    "Similarity",
    "fit_reflection",
    "reflect",
]
