"""Figures of the book: one style, plain arrays and tables as input, alternative text on each."""

from strokerepro.figures.charts import dice_vs_volume, histogram, paper_vs_ours, training_curves
from strokerepro.figures.stack import BrowsedCase, stored_cases
from strokerepro.figures.static import Picture, lesion_frequency_map, static_overview
from strokerepro.figures.style import PALETTE, finish
from strokerepro.figures.viewer import case_browser, slice_viewer

__all__ = [
    "PALETTE",
    "BrowsedCase",
    "Picture",
    "case_browser",
    "dice_vs_volume",
    "finish",
    "histogram",
    "lesion_frequency_map",
    "paper_vs_ours",
    "slice_viewer",
    "static_overview",
    "stored_cases",
    "training_curves",
]
