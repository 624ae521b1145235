"""What the methods of several papers need alike."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import nn

from strokerepro.errors import InputError
from strokerepro.phantom.ctp_acquisition import real_cases
from strokerepro.preprocess import PreparedCase

_Network = TypeVar("_Network", bound=nn.Module)


def on_device(network: _Network, fabric: Fabric) -> _Network:
    """Move a network to the device, in the memory format that convolutions are fast in."""
    moved: _Network = network.to(fabric.device).to(  # type: ignore[call-overload]
        memory_format=torch.channels_last
    )
    return moved


def reference(case: PreparedCase) -> np.ndarray:
    """Reference mask ``(Z, Y, X)`` of a case that training or scoring needs one of.

    Raises
    ------
    InputError
        A case without one.
    """
    return _required(case.label, case.case_id)


def native_reference(case: PreparedCase) -> np.ndarray:
    """Reference mask ``(Z, Y, X)`` on the grid of the file, see `reference`.

    Raises
    ------
    InputError
        A case without one.
    """
    return _required(case.native_label, case.case_id)


def _required(label: np.ndarray | None, case_id: str) -> np.ndarray:
    if label is None:
        raise InputError(
            f"{case_id} without a lesion mask",
            "a mask to train on or score against",
            "use `strokerepro predict` for cases without one",
        )
    return label


def isles2018_fold_slices(folds: int) -> int:
    """Slices that one of `folds` folds of the real ISLES 2018 trains on, to estimate costs."""
    return round(sum(case.slices for case in real_cases()) * (folds - 1) / folds)
