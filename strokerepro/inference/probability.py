"""From logits to the probability of a lesion."""

from __future__ import annotations

import torch
from torch import Tensor


def lesion_probability(logits: Tensor) -> Tensor:
    """Probability of the lesion class: ``(B, 2, ...)`` logits to ``(B, ...)`` float32."""
    return torch.sigmoid((logits[:, 1] - logits[:, 0]).float())
