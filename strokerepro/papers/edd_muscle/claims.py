"""The paper's claims as testable statements, each with the place that makes it."""

from __future__ import annotations

from strokerepro.papers.base import Claim

CLAIMS = (
    Claim("E1", "Dice rises DeepLab < FCN < U-Net < DeconvNet", "Table 2, Sec. 5.1"),
    Claim("E2", "FCN yields the most false-positive lesions", "Table 2, Sec. 5.1"),
    Claim("E3", "DeepLab misses the most lesions", "Table 2, Sec. 5.1"),
    Claim(
        "E4",
        "Pooling masks keep small lesions: DeconvNet misses fewer than with other unpooling",
        "Sec. 3.1, Sec. 5.1",
    ),
    Claim("E5", "32-px patches give several times more false positives", "Table 3, Sec. 5.2"),
    Claim(
        "E6",
        "128-px patches (whole slices) give the fewest false positives and miss the most lesions",
        "Table 3, Sec. 5.2",
    ),
    Claim(
        "E7",
        "The naive ensemble beats its better member by at least 0.03 Dice "
        "and has 30 % fewer false positives",
        "Table 4, Sec. 5.3",
    ),
    Claim("E8", "Refinement adds at most 0.02 Dice to the naive ensemble", "Table 4, Sec. 5.3"),
    Claim(
        "E9",
        "MUSCLE Net removes 30 to 50 % of EDD Net's false positives "
        "for at most 10 % more missed lesions",
        "Table 4, Sec. 5.4",
    ),
    Claim("E10", "MUSCLE Net raises Dice by 0.04", "Table 4, Sec. 5.4"),
    Claim("E11", "MUSCLE Net leaves the detection rate unchanged", "Table 4"),
    Claim("E12", "The gain of MUSCLE Net is confined to small-lesion subjects", "Table 5"),
    Claim("E13", "Dice is higher on large-lesion subjects for every method", "Table 5"),
    Claim("E14", "99 % of EDD Net's false positives have at most 60 pixels", "Sec. 5.4, Fig. 7"),
    Claim(
        "E15",
        "EDD Net dominates the test time; MUSCLE Net takes at most 15 % of it",
        "Table 6, Sec. 5.6",
    ),
)
