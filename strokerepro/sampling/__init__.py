"""Which patches and slices to train on: by index arithmetic on a store, a batch at a time."""

from strokerepro.sampling.balanced import BalancedPatches, PatchBatch
from strokerepro.sampling.patch_sampler import PatchSampler, SamplingKind
from strokerepro.sampling.slices import KeptSlices, SliceBatches

__all__ = [
    "BalancedPatches",
    "KeptSlices",
    "PatchBatch",
    "PatchSampler",
    "SamplingKind",
    "SliceBatches",
]
