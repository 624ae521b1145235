"""From logits to the probability of a lesion."""

from __future__ import annotations

import torch
from torch import Tensor


def lesion_probability(logits: Tensor) -> Tensor:
    """Probability of the lesion class, ``(B, ...)`` float32.

    Parameters
    ----------
    logits
        ``(B, 2, ...)`` for background and lesion, or ``(B, 1, ...)`` for the lesion alone.
    """
    margin = logits[:, 0] if logits.shape[1] == 1 else logits[:, 1] - logits[:, 0]
    return torch.sigmoid(margin.float())
