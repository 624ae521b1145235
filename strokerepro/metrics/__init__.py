"""Scores of one case, their summaries, and the arithmetic of published scores."""

from strokerepro.metrics.case import CASE_KEYS, EMPTY_POLICIES, score_case
from strokerepro.metrics.lesionwise import CONNECTIVITIES
from strokerepro.metrics.operating_point import OperatingPoint, select_operating_point
from strokerepro.metrics.overlap import best_threshold_dice, dice, slice_counts
from strokerepro.metrics.sentinel import SENTINEL_MM, DecodedSentinel, decode_sentinel
from strokerepro.metrics.summary import r_squared, summarise
from strokerepro.metrics.surface import surface_distances
from strokerepro.metrics.synthesis import SYNTHESIS_KEYS, score_synthesis
from strokerepro.metrics.threshold_grid import GridScores, score_grid

__all__ = [
    "CASE_KEYS",
    "CONNECTIVITIES",
    "EMPTY_POLICIES",
    "SENTINEL_MM",
    "SYNTHESIS_KEYS",
    "DecodedSentinel",
    "GridScores",
    "OperatingPoint",
    "best_threshold_dice",
    "decode_sentinel",
    "dice",
    "r_squared",
    "score_case",
    "score_grid",
    "score_synthesis",
    "select_operating_point",
    "slice_counts",
    "summarise",
    "surface_distances",
]
