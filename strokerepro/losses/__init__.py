"""Losses, one class per loss, named as in the field."""

from strokerepro.losses.cross_entropy import (
    EnsembleCrossEntropy,
    SupportsLogitMaps,
    two_class_cross_entropy,
)
from strokerepro.losses.focal import FocalLoss
from strokerepro.losses.generalized_dice import GeneralizedDiceCE
from strokerepro.losses.soft_dice import SoftDice

__all__ = [
    "EnsembleCrossEntropy",
    "FocalLoss",
    "GeneralizedDiceCE",
    "SoftDice",
    "SupportsLogitMaps",
    "two_class_cross_entropy",
]
