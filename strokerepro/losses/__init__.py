"""Losses, one class per loss, named as in the field."""

from strokerepro.losses.adversarial import AdversarialLoss
from strokerepro.losses.cross_entropy import (
    EnsembleCrossEntropy,
    SupportsLogitMaps,
    two_class_cross_entropy,
)
from strokerepro.losses.focal import FocalLoss
from strokerepro.losses.generalized_dice import GeneralizedDiceCE
from strokerepro.losses.log_dice import GradientNorms, LogDiceCE, gradient_norms
from strokerepro.losses.soft_dice import SoftDice

__all__ = [
    "AdversarialLoss",
    "EnsembleCrossEntropy",
    "FocalLoss",
    "GeneralizedDiceCE",
    "GradientNorms",
    "LogDiceCE",
    "SoftDice",
    "SupportsLogitMaps",
    "gradient_norms",
    "two_class_cross_entropy",
]
