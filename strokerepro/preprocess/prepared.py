"""One examination as a network takes it, however it was prepared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from strokerepro.preprocess.geometry import Float, Geometry


@dataclass(frozen=True, eq=False)
class PreparedCase:
    """One examination as a network takes it.

    Attributes
    ----------
    case_id, patient_id
        Names of the examination and of its patient.
    image
        Normalised modalities (C, Z, Y, X), float32.
    label
        Lesion mask (Z, Y, X), uint8 with 0 and 1, or None.
    spacing_mm
        Voxel spacing (z, y, x) of both.
    geometry
        The way back to the grid of the file.
    native_lesion_voxels
        Lesion voxels before preparation; a small lesion may vanish in a thick slice.
    foreground
        Where patches are drawn and predictions made (Z, Y, X), bool; None: where any channel
        differs from 0.
    baselines
        Masks (Z, Y, X), uint8, of rules that are computed from the maps before normalisation, by
        the name of the rule.
    native_label, native_baselines
        `label` and `baselines` on the grid of the file, for scores at the original resolution;
        None and empty where the preparation keeps none.
    channels
        Names of the channels of `image`; empty where the preparation names none.
    file_slices
        Which slices of the file these are, where only some are left; empty: all.
    notes
        What a reader of the results has to know of this preparation, such as a registration that
        failed; empty if all went as usual.
    """

    case_id: str
    patient_id: str
    image: Float
    label: npt.NDArray[np.uint8] | None
    spacing_mm: tuple[float, float, float]
    geometry: Geometry
    native_lesion_voxels: int = 0
    foreground: npt.NDArray[np.bool_] | None = None
    baselines: Mapping[str, npt.NDArray[np.uint8]] = field(default_factory=dict)
    native_label: npt.NDArray[np.uint8] | None = None
    native_baselines: Mapping[str, npt.NDArray[np.uint8]] = field(default_factory=dict)
    file_slices: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()
    channels: tuple[str, ...] = ()

    @property
    def native_spacing_mm(self) -> tuple[float, float, float]:
        """Voxel spacing (z, y, x) of the file."""
        return self.geometry.spacing_mm

    @property
    def lesion_vanished(self) -> bool:
        """Whether the case has a lesion whose prepared mask is empty."""
        return self.label is not None and self.native_lesion_voxels > 0 and not self.label.any()
