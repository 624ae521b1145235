"""Figures of the book: one style, plain arrays and tables as input, alternative text on each."""

from strokerepro.figures.agreement import dual_axis_curves, grid_heatmaps, volume_scatter
from strokerepro.figures.charts import dice_vs_volume, histogram, paper_vs_ours
from strokerepro.figures.explorer import VoxelCurves, curve_explorer
from strokerepro.figures.grid import image_grid, window_of
from strokerepro.figures.lines import adversarial_curves, line_chart, training_curves
from strokerepro.figures.patches import patch_fields
from strokerepro.figures.sentinel import sentinel_explorer
from strokerepro.figures.stack import BrowsedCase, confusion_overlays, stored_cases
from strokerepro.figures.static import Picture, lesion_frequency_map, static_overview
from strokerepro.figures.style import PALETTE, finish
from strokerepro.figures.synthesis import DwiPair, dwi_pairs
from strokerepro.figures.viewer import case_browser, slice_viewer

__all__ = [
    "PALETTE",
    "BrowsedCase",
    "DwiPair",
    "Picture",
    "VoxelCurves",
    "adversarial_curves",
    "case_browser",
    "confusion_overlays",
    "curve_explorer",
    "dice_vs_volume",
    "dual_axis_curves",
    "dwi_pairs",
    "finish",
    "grid_heatmaps",
    "histogram",
    "image_grid",
    "lesion_frequency_map",
    "line_chart",
    "paper_vs_ours",
    "patch_fields",
    "sentinel_explorer",
    "slice_viewer",
    "static_overview",
    "stored_cases",
    "training_curves",
    "volume_scatter",
    "window_of",
]
