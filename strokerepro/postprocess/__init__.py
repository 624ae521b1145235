"""What happens between a probability map and the mask that is scored."""

from strokerepro.postprocess.candidates import Candidates, candidate_labels, extract_candidates
from strokerepro.postprocess.components import (
    CONNECTIVITIES,
    Connectivity,
    label_components,
    label_slices,
    label_volume,
    remove_small,
)
from strokerepro.postprocess.fusion import FUSION_RULES, FUSION_SCOPES, fuse
from strokerepro.postprocess.median import median_mask

__all__ = [
    "CONNECTIVITIES",
    "FUSION_RULES",
    "FUSION_SCOPES",
    "Candidates",
    "Connectivity",
    "candidate_labels",
    "extract_candidates",
    "fuse",
    "label_components",
    "label_slices",
    "label_volume",
    "median_mask",
    "remove_small",
]
