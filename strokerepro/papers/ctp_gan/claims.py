"""The paper's claims as testable predictions, each with the place that makes it.

Claims that the paper only implies say so.
"""

from __future__ import annotations

from strokerepro.papers.base import Claim
from strokerepro.papers.predicates import (
    Expected,
    MeanAbove,
    MeanBelow,
    MetricExceeds,
    PairedDifference,
)
from strokerepro.papers.slice_predicates import HigherOnCommonSlices
from strokerepro.papers.stability_predicates import CurveSteadier, LessSpread


def output(run: str, name: str = "segmentation") -> str:
    """Method ``run/output`` of an experiment."""
    return f"{run}/{name}"


MAIN = output("main")
_DICE_CURVE = "val/dice"
#: Dice below which a loss counts as collapsed.
_COLLAPSED = 0.05


def _differs(
    name: str, text: str, where: str, *pairs: tuple[str, str],
    metric: str = "dice", expected: Expected = "increase",
) -> Claim:  # fmt: skip
    """Build a claim on the first experiment of each pair against the second."""
    return Claim(
        name,
        text,
        where,
        tuple(
            PairedDifference(output(first), output(second), metric, expected)
            for first, second in pairs
        ),
    )


_STAGES = (
    _differs("C1", "The real DWI as input gives a far higher Dice than any pipeline from CT "
             "perfusion", "Table 1, Sec. 3.2",
             *(("stage1_dwi", other) for other in ("stage2_direct", "stage3_gan", "main"))),
    _differs("C2", "Stage 3, a GAN and the maximum of the series, gives a higher Dice than stage 2",
             "Table 1, Sec. 3.2", ("stage3_gan", "stage2_direct")),
    _differs("C3", "Stage 4, group normalisation and maxout, gives a higher Dice than stage 3",
             "Table 1, Sec. 3.2", ("main", "stage3_gan")),
    _differs("C4", "The whole pipeline gives a higher Dice than direct segmentation",
             "Table 1, Sec. 4", ("main", "stage2_direct")),
    _differs("C5", "The GAN alone, with four channels, gives a higher Dice than stage 2",
             "Sec. 3.2, implied", ("gan_4ch", "stage2_direct")),
    _differs("C6", "The maximum of the series alone, without a GAN, gives a higher Dice than "
             "stage 2", "Sec. 3.2, implied", ("direct_5ch", "stage2_direct")),
    _differs("C7", "Group normalisation alone gives a higher Dice than stage 3",
             "Sec. 2.2, implied", ("stage3_gn", "stage3_gan")),
    _differs("C8", "Maxout alone gives a higher Dice than stage 3",
             "Sec. 2.2, implied", ("stage3_maxout", "stage3_gan")),
)  # fmt: skip

_MAXOUT = (("stage3_maxout", "stage3_gan"), ("main", "stage3_gn"))
_NETWORKS = (
    Claim(
        "C9",
        "Maxout reduces false positives: fewer false components, a higher precision",
        "Sec. 2.2, 3.2",
        (
            *(PairedDifference(output(first), output(second), "n_fp", "decrease")
              for first, second in _MAXOUT),
            *(PairedDifference(output(first), output(second), "precision", "increase")
              for first, second in _MAXOUT),
        ),
    ),
    _differs("C10", "Maxout lowers the recall", "Sec. 2.2, implied", *_MAXOUT, metric="recall",
             expected="decrease"),
    Claim(
        "C11",
        "The validation Dice is steadier from one validation to the next with group than with "
        "batch normalisation",
        "Fig. 7, Sec. 3.2",
        (
            CurveSteadier("main", "stage3_maxout", _DICE_CURVE),
            CurveSteadier("stage3_gn", "stage3_gan", _DICE_CURVE),
        ),
    ),
    Claim(
        "C12",
        "Over batches of 2, 6 and 16 slices the Dice varies less with group than with batch "
        "normalisation",
        "Sec. 2.2",
        (
            LessSpread(
                (output("gn_batch2"), MAIN, output("gn_batch16")),
                (output("bn_batch2"), output("stage3_maxout"), output("bn_batch16")),
                "dice",
            ),
        ),
    ),
)  # fmt: skip

_LOSSES = (
    Claim(
        "C13",
        "The validation Dice is steadier with the generalised Dice in the loss than with the "
        "plain one",
        "Sec. 2.3",
        (CurveSteadier("main", "loss_bce_log_dice", _DICE_CURVE),),
    ),
    _differs("C14", "The sum of cross-entropy and generalised Dice gives a higher Dice than either "
             "alone", "Sec. 2.3, implied", ("main", "loss_ce"), ("main", "loss_gdl")),
    Claim(
        "C15",
        "Eq. 5 as printed, with the loss instead of the coefficient, finds no lesion",
        "Eq. 5, by arithmetic",
        (MeanBelow(output("loss_literal"), "dice", _COLLAPSED),),
    ),
    Claim(
        "C16",
        "The validation Dice is steadier with least squares than with the logarithms of the first "
        "GAN",
        "Sec. 3.2",
        (CurveSteadier("main", "gan_log", _DICE_CURVE),),
    ),
    _differs("C17", "The adversary gives a higher Dice", "Sec. 2.3, implied", ("main", "omega_d0")),
    _differs("C18", "The reconstruction error gives a higher Dice", "Sec. 2.3, implied",
             ("main", "omega_g0")),
    _differs("C19", "A generator that the lesion loss reaches gives a higher Dice",
             "Eq. 6, implied", ("main", "seg_detach")),
)  # fmt: skip

_RESULTS = (
    Claim(
        "C20",
        "Learned from data, the method beats the clinical threshold rules",
        "Abstract, Sec. 1",
        tuple(
            PairedDifference(MAIN, output("main", rule), "dice", "increase")
            for rule in ("rcbf30_delay3", "rcbf30", "tmax6")
        ),
    ),
    Claim(
        "C21",
        "Lesions are brighter than the rest of the brain in the generated DWI",
        "Fig. 8, implied",
        (MeanAbove(MAIN, "dwi_lesion_contrast_generated", 1.0),),
    ),
    Claim(
        "C22",
        "They are less bright there than in the real DWI",
        "Fig. 8, implied",
        (MetricExceeds(MAIN, "dwi_lesion_contrast_real", "dwi_lesion_contrast_generated"),),
    ),
    Claim(
        "C23",
        "The same segmentor gives a higher Dice on the real DWI than on the generated one",
        "Sec. 3.2, implied",
        (PairedDifference(output("main", "oracle_dwi"), MAIN, "dice", "increase"),),
    ),
    _differs("C24", "Augmentation gives a higher Dice", "Sec. 2.1, implied", ("main", "aug_none")),
    Claim(
        "C25",
        "Folds that part the slices of a slab pretend a higher Dice, on the same slices",
        "Sec. 3.1, implied: the unit of the folds is not stated",
        (HigherOnCommonSlices(output("split_slice"), MAIN),),
    ),
    _differs("C26", "Folds that part the slabs of a patient pretend a higher Dice",
             "Sec. 3.1, implied: the unit of the folds is not stated", ("split_case", "main")),
)  # fmt: skip

CLAIMS = (*_STAGES, *_NETWORKS, *_LOSSES, *_RESULTS)
