"""From flow and blood volume to attenuation: the constants of the indicator-dilution model.

A vessel filled with blood is enhanced as the artery is. Tissue of flow F holds the contrast
``(density / haematocrit factor) F [C_a * R]``: blood in capillaries carries less haematocrit, that
is more plasma and more contrast, than blood in large vessels.
"""

from __future__ import annotations

from strokerepro.phantom.lattice import FloatArray

BRAIN_DENSITY_G_ML = 1.04
# (1 - haematocrit of large vessels) / (1 - haematocrit of small ones) = (1 - 0.45) / (1 - 0.25).
HAEMATOCRIT_FACTOR = 0.73

# ml/100 g/min to ml/g/s, and ml/100 g to ml/g.
FLOW_UNIT = 6000.0
VOLUME_UNIT = 100.0

# Part of the identity of every phantom that rests on them.
CONSTANTS = {
    "brain_density_g_ml": BRAIN_DENSITY_G_ML,
    "haematocrit_factor": HAEMATOCRIT_FACTOR,
}


def blood_volume_ml_100g(cbf_ml_100g_min: FloatArray, mtt_s: FloatArray) -> FloatArray:
    """Central volume theorem: CBV in ml/100 g is CBF in ml/100 g/min times MTT in min."""
    return cbf_ml_100g_min * mtt_s / 60.0


def enhancement_per_volume(cbv_ml_100g: FloatArray) -> FloatArray:
    """Area of the tissue curve over the area of the arterial one, for a CBV in ml/100 g."""
    return cbv_ml_100g * (BRAIN_DENSITY_G_ML / HAEMATOCRIT_FACTOR / VOLUME_UNIT)
