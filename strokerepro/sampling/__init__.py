"""Where to cut training patches: drawn by index arithmetic on a store, a batch at a time."""

from strokerepro.sampling.balanced import BalancedPatches, PatchBatch
from strokerepro.sampling.patch_sampler import PatchSampler, SamplingKind

__all__ = ["BalancedPatches", "PatchBatch", "PatchSampler", "SamplingKind"]
