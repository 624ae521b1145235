"""A cohort as resident tensors: stacked once on the device, cut by index arithmetic."""

from strokerepro.store.lesions import LesionTable
from strokerepro.store.resident import Store

__all__ = ["LesionTable", "Store"]
