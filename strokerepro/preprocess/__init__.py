"""From a case on the scanner's grid to what a network takes, and the way back."""

from strokerepro.preprocess.dwi import PreparedCase, prepare_dwi
from strokerepro.preprocess.geometry import Geometry, Window, plan_geometry
from strokerepro.preprocess.grid import resample_to_case
from strokerepro.preprocess.intensity import adc_um2_per_ms, normalise

__all__ = [
    "Geometry",
    "PreparedCase",
    "Window",
    "adc_um2_per_ms",
    "normalise",
    "plan_geometry",
    "prepare_dwi",
    "resample_to_case",
]
