"""Whole-slice prediction, fully convolutional and batched over slices."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor

from strokerepro.inference.probability import lesion_probability


@torch.no_grad()
def map_slices(
    forward: Callable[[Tensor], Mapping[str, Tensor]],
    image: np.ndarray,
    fabric: Fabric,
    *,
    batch: int = 8,
) -> dict[str, np.ndarray]:
    """Apply networks to a volume slice by slice, several slices at a time.

    Parameters
    ----------
    forward
        Maps ``(B, C, Y, X)`` to one or more named values, ``(B, Y, X)``.
    image
        Prepared image ``(C, Z, Y, X)`` float32; Y and X must suit the network's poolings.
    fabric
        Device and precision.
    batch
        Slices per forward pass.

    Returns
    -------
    dict
        For each value of `forward` a volume ``(Z, Y, X)`` float32.
    """
    slices = torch.from_numpy(np.ascontiguousarray(image.transpose(1, 0, 2, 3)))  # (Z, C, Y, X)
    slices = fabric.to_device(slices).contiguous(memory_format=torch.channels_last)
    parts: dict[str, list[Tensor]] = {}
    with fabric.autocast():
        for piece in slices.split(batch):
            for name, values in forward(piece).items():
                parts.setdefault(name, []).append(values.float())
    return {name: torch.cat(maps).cpu().numpy() for name, maps in parts.items()}


def predict_slices(
    forward: Callable[[Tensor], Mapping[str, Tensor]],
    image: np.ndarray,
    fabric: Fabric,
    *,
    batch: int = 8,
) -> dict[str, np.ndarray]:
    """Predict a volume slice by slice.

    Parameters
    ----------
    forward
        Maps ``(B, C, Y, X)`` to one or more named logit maps, ``(B, 2, Y, X)`` or
        ``(B, 1, Y, X)``.
    image, fabric, batch
        As for `map_slices`.

    Returns
    -------
    dict
        For each map of `forward` the lesion probability ``(Z, Y, X)`` float32.
    """

    def probabilities(slices: Tensor) -> dict[str, Tensor]:
        return {name: lesion_probability(logits) for name, logits in forward(slices).items()}

    return map_slices(probabilities, image, fabric, batch=batch)
