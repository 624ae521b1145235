"""What happens between a probability map and the mask that is scored."""

from strokerepro.postprocess.candidates import Candidates, candidate_labels, extract_candidates
from strokerepro.postprocess.components import label_slices, label_volume
from strokerepro.postprocess.fusion import FUSION_RULES, FUSION_SCOPES, fuse

__all__ = [
    "FUSION_RULES",
    "FUSION_SCOPES",
    "Candidates",
    "candidate_labels",
    "extract_candidates",
    "fuse",
    "label_slices",
    "label_volume",
]
