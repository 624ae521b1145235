"""From a case on the scanner's grid to what a network takes, and the way back."""

from strokerepro.preprocess.ctp import Rule, brain_mask, prepare_ctp
from strokerepro.preprocess.dwi import prepare_dwi
from strokerepro.preprocess.geometry import Geometry, Window, plan_geometry, plan_resize
from strokerepro.preprocess.grid import resample_to_case
from strokerepro.preprocess.intensity import adc_um2_per_ms, normalise, unit_range, zscore
from strokerepro.preprocess.prepared import PreparedCase
from strokerepro.preprocess.reflection import Reflection, fit_reflection, reflect
from strokerepro.preprocess.slice_parts import slice_parts
from strokerepro.preprocess.threshold_rule import rcbf_core, relative_cbf, tmax_region

__all__ = [
    "Geometry",
    "PreparedCase",
    "Reflection",
    "Rule",
    "Window",
    "adc_um2_per_ms",
    "brain_mask",
    "fit_reflection",
    "normalise",
    "plan_geometry",
    "plan_resize",
    "prepare_ctp",
    "prepare_dwi",
    "rcbf_core",
    "reflect",
    "relative_cbf",
    "resample_to_case",
    "slice_parts",
    "tmax_region",
    "unit_range",
    "zscore",
]
