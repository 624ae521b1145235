"""Memory that a network's forward pass keeps for its backward pass."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def saved_activation_bytes(network: nn.Module, image: Tensor) -> int:
    """Bytes that one forward pass keeps for the backward pass, besides weights and statistics.

    Counted by hooks on what autograd saves; what several operations share counts once. Network
    and image may be on the ``meta`` device, which computes nothing and needs no memory. Masks of
    elementwise dropout are float32 on the CPU and on ``meta`` but one byte a value on a GPU.

    Parameters
    ----------
    network
        Any network, in the mode that is to be measured.
    image
        Its input, (B, C, Y, X).
    """
    owned = {_storage(tensor) for tensor in (*network.parameters(), *network.buffers())}
    saved: dict[int, int] = {}
    held = []  # an address is that of one tensor only while the tensor lives

    def note(tensor: Tensor) -> Tensor:
        if _storage(tensor) not in owned:
            saved[_storage(tensor)] = tensor.untyped_storage().nbytes()
            held.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        network(image)
    return sum(saved.values())


def _storage(tensor: Tensor) -> int:
    # Addresses of the data are all 0 on the meta device; those of the storages are not.
    return int(tensor.untyped_storage()._cdata)
