"""The paper's claims as testable predictions, each with the place that makes it."""

from __future__ import annotations

from strokerepro.papers.base import Claim
from strokerepro.papers.predicates import (
    LargeBeatsSmall,
    MeanBelow,
    PairedDifference,
    ShareAtMost,
    StageShare,
)

DEEPLAB, FCN, UNET, DECONVNET = (
    "arch_deeplab/deeplab",
    "arch_fcn/fcn",
    "arch_unet/unet",
    "arch_deconvnet/deconvnet",
)
WHOLE_SLICE = "patch128_rf64/deconvnet"
BRANCHES, NAIVE = ("main/branch_1", "main/branch_2"), "main/naive"
EDD, MUSCLE = "main/edd", "main/edd_muscle"
#: Largest difference in Dice or detection rate that counts as none: the paper's last digits.
SAME = 0.02

CLAIMS = (
    Claim(
        "E1",
        "Dice rises from DeepLab over FCN and U-Net to DeconvNet",
        "Table 2, Sec. 5.1",
        (
            PairedDifference(FCN, DEEPLAB, "dice", "increase"),
            PairedDifference(UNET, FCN, "dice", "increase"),
            PairedDifference(DECONVNET, UNET, "dice", "increase"),
        ),
    ),
    Claim(
        "E2",
        "FCN finds the most false lesions of the four architectures",
        "Table 2, Sec. 5.1",
        tuple(PairedDifference(FCN, other, "n_fp", "increase")
              for other in (DEEPLAB, UNET, DECONVNET)),
    ),
    Claim(
        "E3",
        "DeepLab misses the most lesions of the four architectures",
        "Table 2, Sec. 5.1",
        tuple(PairedDifference(DEEPLAB, other, "n_fn", "increase")
              for other in (FCN, UNET, DECONVNET)),
    ),
    Claim(
        "E4",
        "Pooling masks keep small lesions: a DeconvNet without them misses more",
        "Sec. 3.1, Sec. 5.1",
        (PairedDifference("unpool_nearest/deconvnet", DECONVNET, "n_fn", "increase"),),
    ),
    Claim(
        "E5",
        "32-px patches give more false lesions than 64-px patches (published: 3 to 6 times)",
        "Table 3, Sec. 5.2",
        (PairedDifference("patch32_rf18/deconvnet", DECONVNET, "n_fp", "increase"),),
    ),
    Claim(
        "E6",
        "Whole 128-px slices give fewer false lesions than 64-px patches and miss more, "
        "yet detect nearly as many subjects (published: 0.03 fewer)",
        "Table 3, Sec. 5.2",
        (
            PairedDifference(WHOLE_SLICE, DECONVNET, "n_fp", "decrease"),
            PairedDifference(WHOLE_SLICE, DECONVNET, "n_fn", "increase"),
            # A network that finds nothing would fulfil the two above.
            PairedDifference(WHOLE_SLICE, DECONVNET, "detected", "no difference", 0.1),
        ),
    ),
    Claim(
        "E7",
        "The naive ensemble has a higher Dice and fewer false lesions than either member",
        "Table 4, Sec. 5.3",
        (
            *(PairedDifference(NAIVE, branch, "dice", "increase") for branch in BRANCHES),
            *(PairedDifference(NAIVE, branch, "n_fp", "decrease") for branch in BRANCHES),
        ),
    ),
    Claim(
        "E8",
        "Refinement changes the Dice of the naive ensemble by at most 0.02",
        "Table 4, Sec. 5.3",
        (PairedDifference(EDD, NAIVE, "dice", "no difference", SAME),),
    ),
    Claim(
        "E9",
        "MUSCLE Net removes false lesions (published: 44 %)",
        "Table 4, Sec. 5.4",
        (PairedDifference(MUSCLE, EDD, "n_fp", "decrease"),),
    ),
    Claim(
        "E10",
        "MUSCLE Net raises Dice (published: by 0.04)",
        "Table 4, Sec. 5.4",
        (PairedDifference(MUSCLE, EDD, "dice", "increase"),),
    ),
    Claim(
        "E11",
        "MUSCLE Net leaves the detection rate as it is, to 0.02",
        "Table 4",
        (PairedDifference(MUSCLE, EDD, "detected", "no difference", SAME),),
    ),
    Claim(
        "E12",
        "MUSCLE Net raises Dice on small-lesion subjects, and changes it by at most 0.02 on others",
        "Table 5, Sec. 5.5",
        (
            PairedDifference(MUSCLE, EDD, "dice", "increase", subset="small"),
            PairedDifference(MUSCLE, EDD, "dice", "no difference", SAME, subset="large"),
        ),
    ),
    Claim(
        "E13",
        "Every method has a higher Dice on large-lesion subjects",
        "Table 5, Sec. 5.5",
        (LargeBeatsSmall((DEEPLAB, FCN, UNET, DECONVNET, EDD, MUSCLE), "dice"),),
    ),
    Claim(
        "E14",
        "99 % of EDD Net's false lesions have at most 60 pixels",
        "Sec. 5.4, Fig. 7",
        (ShareAtMost(EDD, "fp_sizes_px", 60, 0.99),),
    ),
    Claim(
        "E15",
        "MUSCLE Net takes at most 15 % of the test time (published: 8 %)",
        "Table 6, Sec. 5.6",
        (StageShare("main", "muscle", 0.15),),
    ),
    Claim(
        "E16",
        "The two members' false lesions are different ones: of each member's, on average less "
        "than half touch one of the other's (our measure; no number is published)",
        "Sec. 5.3",
        (MeanBelow(NAIVE, "fp_overlap", 0.5),),
    ),
)  # fmt: skip
