"""One person and one stroke: everything that two slabs of a patient have in common."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from strokerepro.phantom.anatomy import Subject, draw_subject
from strokerepro.phantom.atlas import Atlas
from strokerepro.phantom.ctp_acquisition import patients
from strokerepro.phantom.ctp_chronic import Chronic, draw_chronic
from strokerepro.phantom.ctp_config import CtpConfig
from strokerepro.phantom.ctp_fate import Fate, Timing, draw_fate, draw_timing
from strokerepro.phantom.ctp_head import Head, draw_head
from strokerepro.phantom.ctp_occlusion import Occlusion, draw_occlusion
from strokerepro.phantom.ctp_ranks import draw_ranks
from strokerepro.phantom.ctp_rest import Rest, draw_rest
from strokerepro.phantom.perfusion.arterial_input import ArterialInput, draw_arterial_input
from strokerepro.phantom.random_fields import component_rng


@dataclass(frozen=True)
class Patient:
    """A person before the outcome of the stroke is drawn.

    Parameters
    ----------
    number
        Number of the patient.
    subject
        Pose and shape of the head.
    timing, chronic, rest, head
        See the classes.
    arterial
        Bolus.
    alpha
        Shape of the residue functions.
    """

    number: int
    subject: Subject
    timing: Timing
    chronic: Chronic
    rest: Rest
    head: Head
    arterial: ArterialInput
    alpha: float


@dataclass(frozen=True)
class Stroke:
    """An occlusion, the fate of the tissue beyond it, and the number of rejected draws."""

    occlusion: Occlusion
    fate: Fate
    attempt: int


def draw_patient(number: int, *, seed: int, atlas: Atlas, config: CtpConfig) -> Patient:
    """Draw a person; every part has a random stream of its own."""

    def rng(component: str) -> np.random.Generator:
        return component_rng(seed, "ctp", number, component)

    timing = draw_timing(rng("timing"), config.timing)
    arterial = rng("arterial")
    return Patient(
        number=number,
        subject=draw_subject(rng("anatomy"), config.anatomy),
        timing=timing,
        chronic=draw_chronic(rng("chronic"), atlas, config.chronic),
        rest=draw_rest(rng("rest"), config.rest),
        head=draw_head(rng("head"), timing.onset_h, config.head),
        arterial=draw_arterial_input(arterial, config.perfusion.arterial),
        alpha=float(arterial.uniform(*config.perfusion.transit.alpha)),
    )


def draw_stroke(
    patient: Patient, attempt: int, *, seed: int, atlas: Atlas, config: CtpConfig
) -> Stroke:
    """Draw a stroke; `attempt` counts the draws that left too little infarct in a slab."""
    occlusion_rng, fate_rng = (
        component_rng(seed, "ctp", patient.number, component, attempt)
        for component in ("occlusion", "fate")
    )
    cohort, index = divmod(patient.number - 1, patients())
    ranks = draw_ranks(index, patients(), seed=seed, cohort=cohort, attempt=attempt)
    occlusion = draw_occlusion(occlusion_rng, ranks, config.occlusion)
    fate = draw_fate(fate_rng, ranks, occlusion, patient.timing, atlas, config.fate)
    return Stroke(occlusion, fate, attempt)
