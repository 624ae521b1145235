"""From a trained network to a probability at every voxel: slices, patches, noisy passes."""

from strokerepro.inference.monte_carlo import SplitPass, monte_carlo
from strokerepro.inference.patches import predict_patches
from strokerepro.inference.probability import lesion_probability
from strokerepro.inference.slices import map_slices, predict_slices
from strokerepro.inference.stopwatch import Stopwatch

__all__ = [
    "SplitPass",
    "Stopwatch",
    "lesion_probability",
    "map_slices",
    "monte_carlo",
    "predict_patches",
    "predict_slices",
]
