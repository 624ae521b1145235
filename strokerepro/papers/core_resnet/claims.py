"""The paper's claims as testable predictions, each with the place that makes it."""

from __future__ import annotations

from strokerepro.papers.base import Claim
from strokerepro.papers.predicates import (
    CurveTracks,
    PairedDifference,
    TimeRatio,
    VolumeAgreementRises,
)

BASELINE, REGULARISED = "baseline_lite/single", "rt/single"
MIRRORED, FULL = "main/single", "main/uf"
#: The four rows of Table 1, in its order.
CONFIGURATIONS = (BASELINE, REGULARISED, MIRRORED, FULL)
#: The networks of all folds on a cohort that none of them has seen, as `strokerepro transfer` names
#: the record.
ENSEMBLE = "transfer-ensemble-main"
#: Largest difference in Dice that counts as none: the paper's largest "marginal" change.
SAME = 0.01

CLAIMS = (
    Claim(
        "C1",
        "Sampling, loss and regularisation raise Dice and sensitivity over the baseline",
        "Table 1, Sec. 4.1",
        (
            PairedDifference(REGULARISED, BASELINE, "dice", "increase"),
            PairedDifference(REGULARISED, BASELINE, "recall", "increase"),
        ),
    ),
    Claim(
        "C2",
        "Mirrored channels raise the positive predictive value and lower the sensitivity",
        "Table 1, Sec. 4.1",
        (
            PairedDifference(MIRRORED, REGULARISED, "precision", "increase"),
            PairedDifference(MIRRORED, REGULARISED, "recall", "decrease"),
        ),
    ),
    Claim(
        "C3",
        "Uncertainty filtering lowers the Hausdorff distance and the sensitivity",
        "Table 1, Sec. 4.1",
        (
            PairedDifference(FULL, MIRRORED, "hd_mm", "decrease"),
            PairedDifference(FULL, MIRRORED, "recall", "decrease"),
        ),
    ),
    Claim(
        "C4",
        "Uncertainty filtering changes Dice and positive predictive value by at most 0.01",
        "Table 1, Sec. 5",
        tuple(PairedDifference(FULL, MIRRORED, metric, "no difference", SAME)
              for metric in ("dice", "precision")),
    ),
    Claim(
        "C5",
        "The full method beats the baseline in Dice, positive predictive value and Hausdorff "
        "distance",
        "Table 1, Sec. 4.1",
        (
            PairedDifference(FULL, BASELINE, "dice", "increase"),
            PairedDifference(FULL, BASELINE, "precision", "increase"),
            PairedDifference(FULL, BASELINE, "hd_mm", "decrease"),
        ),
    ),
    Claim(
        "C6",
        "Predicted volumes agree better with the true ones at each step (R2 rises)",
        "Table 1",
        (VolumeAgreementRises(CONFIGURATIONS),),
    ),
    Claim(
        "C7",
        "L1 loss plus error rate follows the Dice of the validation patches more closely than "
        "the loss does",
        "Sec. 4.1, Fig. 3",
        (CurveTracks("main", "val/l1_error", "val/loss", "val/dice"),),
    ),
    Claim(
        "C8",
        "Stopping on that metric gives a higher Dice than stopping on the loss",
        "Sec. 4.1, Fig. 3",
        (PairedDifference(MIRRORED, "stop_loss/single", "dice", "increase"),),
    ),
    Claim(
        "C9",
        "Balanced patches give a higher Dice than uniform ones",
        "Sec. 3.1",
        (PairedDifference(MIRRORED, "sampling_uniform/single", "dice", "increase"),),
    ),
    Claim(
        "C10",
        "The sum of both losses gives a higher Dice than either alone",
        "Sec. 3.1",
        tuple(PairedDifference(MIRRORED, f"loss_{loss}/single", "dice", "increase")
              for loss in ("ce", "gdl")),
    ),
    Claim(
        "C11",
        "64-px patches give a higher Dice than 32-px ones",
        "Sec. 3.1",
        (PairedDifference(MIRRORED, "patch32/single", "dice", "increase"),),
    ),
    Claim(
        "C12",
        "Aligning the mirrored channels gives a higher Dice than flipping alone",
        "Sec. 2.1.1, implied",
        (PairedDifference(MIRRORED, "sym_flip/single", "dice", "increase"),),
    ),
    Claim(
        "C13",
        "A decoder as deep as the encoder is no better: Dice differs by at most 0.01",
        "Sec. 3.2, by citation",
        (PairedDifference("decoder2/single", MIRRORED, "dice", "no difference", SAME),),
    ),
    Claim(
        "C14",
        "A larger dropout rate at prediction lowers Dice",
        "Sec. 5",
        (PairedDifference("main/uf_rate50", FULL, "dice", "decrease"),),
    ),
    Claim(
        "C15",
        "More overlap of the patches gives a higher Dice and a smaller Hausdorff distance",
        "Sec. 3.3",
        (
            PairedDifference(MIRRORED, "main/step32", "dice", "increase"),
            PairedDifference(MIRRORED, "main/step32", "hd_mm", "decrease"),
        ),
    ),
    Claim(
        "C16",
        "Stopping and tuning on the reported cases is optimistic: held-out patients give a lower "
        "Dice",
        "implied by Sec. 4.1",
        (PairedDifference("inner/single", MIRRORED, "dice", "decrease"),),
    ),
    Claim(
        "C17",
        "Three noisy passes take three times as long as one",
        "Sec. 5",
        (TimeRatio("main", ("prefix", "uf"), ("prefix", "single"), 2.5, 3.5),),
    ),
    Claim(
        "C18",
        "Learned from data, the method beats the clinical threshold rules (implied: the reason "
        "for learning at all)",
        "Sec. 1",
        (
            PairedDifference(FULL, "main/rcbf30", "dice", "increase"),
            PairedDifference(FULL, "main/tmax6", "dice", "increase"),
        ),
    ),
    Claim(
        "C19",
        "The networks of all folds, averaged, beat each of them on unseen cases",
        "Sec. 4.2, implied",
        tuple(PairedDifference(f"{ENSEMBLE}/ensemble", f"{ENSEMBLE}/network_{number}", "dice",
                               "increase") for number in range(3)),
    ),
)  # fmt: skip
