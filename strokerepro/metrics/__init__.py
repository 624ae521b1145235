"""Scores of one case, their summaries, and the arithmetic of published scores."""

from strokerepro.metrics.case import CASE_KEYS, EMPTY_POLICIES, score_case
from strokerepro.metrics.lesionwise import CONNECTIVITIES
from strokerepro.metrics.overlap import best_threshold_dice, dice
from strokerepro.metrics.sentinel import SENTINEL_MM, DecodedSentinel, decode_sentinel
from strokerepro.metrics.summary import r_squared, summarise
from strokerepro.metrics.surface import surface_distances

__all__ = [
    "CASE_KEYS",
    "CONNECTIVITIES",
    "EMPTY_POLICIES",
    "SENTINEL_MM",
    "DecodedSentinel",
    "best_threshold_dice",
    "decode_sentinel",
    "dice",
    "r_squared",
    "score_case",
    "summarise",
    "surface_distances",
]
