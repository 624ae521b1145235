"""The paper's claims as testable predictions, each with the place that makes it.

The paper has no ablation: most claims are motivations, put as what they predict.
"""

from __future__ import annotations

from strokerepro.papers.base import Claim
from strokerepro.papers.predicates import (
    LargeBeatsSmall,
    MetricExceeds,
    PairedDifference,
    SmallerGap,
)

MAIN, RAW = "main/median", "main/raw"


def _better(name: str, text: str, where: str, *others: str, metric: str = "dice") -> Claim:
    """Build a claim that the method scores higher than each of some experiments."""
    return Claim(
        name,
        text,
        where,
        tuple(PairedDifference(MAIN, f"{other}/median", metric, "increase") for other in others),
    )


def _fits_less(name: str, text: str, where: str, other: str) -> Claim:
    """Build a claim that the method loses less Dice from training to test cases."""
    return Claim(name, text, where, (SmallerGap(MAIN, f"{other}/median", "dice"),))


CLAIMS = (
    Claim(
        "C1",
        "Precision is higher than recall",
        "Table 1",
        (MetricExceeds(MAIN, "precision", "recall"),),
    ),
    Claim(
        "C2",
        "Large lesions are segmented better than small ones",
        "Sec. 3.2",
        (LargeBeatsSmall((MAIN,), "dice"),),
    ),
    _better("C3", "Two paths give a higher Dice than one path with all four maps",
            "Sec. 1, contribution 3", "one_path"),
    _better("C4", "First kernels of two sizes give a higher Dice than two of 3x3",
            "Abstract, Sec. 1, contribution 3", "kernels_equal"),
    _fits_less("C5", "Dropout reduces overfitting: less Dice is lost from training to test cases",
               "Sec. 1, contribution 2, Sec. 2.3", "dropout_none"),
    _better("C6", "Dropout gives a higher Dice", "Sec. 1, contribution 2", "dropout_none"),
    _better("C7", "A strong dropout for MTT beside a weak one for the other maps gives a higher "
            "Dice than a weak one for all", "Sec. 2.3, implied", "dropout_weak"),
    _better("C8", "A strong dropout for MTT beside a weak one for the other maps gives a higher "
            "Dice than a strong one for all", "Sec. 2.3, implied", "dropout_strong"),
    Claim(
        "C9",
        "A dropout of 0.01 everywhere fits the training cases better than with 0.5 for MTT",
        "Sec. 3.1",
        (PairedDifference("dropout_weak/median", MAIN, "dice", "increase", split="train"),),
    ),
    _better("C10", "Maps grouped by their clinical role give a higher Dice than all maps in both "
            "paths", "Sec. 2.2, implied", "all4_both"),
    _better("C11", "Both groups of maps together give a higher Dice than either alone",
            "Sec. 2.2, implied", "group_a", "group_b"),
    _fits_less("C12", "Dense blocks reduce overfitting: less Dice is lost from training to test "
               "cases than with plain blocks of as many parameters", "Abstract, Sec. 2.2",
               "plain_blocks"),
    _better("C13", "Dense blocks give a higher Dice than plain ones of as many parameters",
            "Sec. 1, contribution 1", "plain_blocks"),
    _better("C14", "The Dice loss gives a higher recall than cross-entropy", "Sec. 2.4, implied",
            "loss_bce", metric="recall"),
    _better("C15", "Flips and rotations give a higher Dice", "Sec. 1, 3.1", "aug_none"),
    Claim(
        "C16",
        "The median filter removes noise: fewer false components, a higher precision and a "
        "smaller Hausdorff distance",
        "Abstract, Sec. 3.1",
        (
            PairedDifference(MAIN, RAW, "n_fp", "decrease"),
            PairedDifference(MAIN, RAW, "precision", "increase"),
            PairedDifference(MAIN, RAW, "hd_mm", "decrease"),
        ),
    ),
    _better("C17", "The Dice of a whole batch trains better than that of each slice",
            "Eq. 4, implied", "dice_sample"),
    Claim(
        "C18",
        "Learned from data, the method beats the clinical threshold rules (implied: the reason "
        "for learning at all)",
        "Sec. 1",
        (
            PairedDifference(MAIN, "main/rcbf30", "dice", "increase"),
            PairedDifference(MAIN, "main/tmax6", "dice", "increase"),
        ),
    ),
)  # fmt: skip
