"""Batched augmentation on the device: a deterministic operation plus its drawn parameters."""

from strokerepro.augment.affine import Affine, apply_affine, draw_affine
from strokerepro.augment.elastic import ElasticField, ElasticUnits, apply_elastic, draw_elastic
from strokerepro.augment.flip_rotation import (
    FlipRotation,
    apply_flip_rotation,
    draw_flip_rotation,
    window_px,
)

__all__ = [
    "Affine",
    "ElasticField",
    "ElasticUnits",
    "FlipRotation",
    "apply_affine",
    "apply_elastic",
    "apply_flip_rotation",
    "draw_affine",
    "draw_elastic",
    "draw_flip_rotation",
    "window_px",
]
