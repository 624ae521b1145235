"""Dual-path dense U-net: infarct core in CT perfusion (Liu et al. 2018)."""

from strokerepro.papers.base import Recipe
from strokerepro.papers.ms_dcnn.ablations import ABLATIONS, FOLDS, PROFILES
from strokerepro.papers.ms_dcnn.claims import CLAIMS
from strokerepro.papers.ms_dcnn.pipeline import FILTERED, RAW, MsDcnnMethod
from strokerepro.papers.ms_dcnn.settings import MsDcnnSettings

RECIPE = Recipe(
    slug="ms_dcnn",
    title="Dual-path dense U-net with a dropout rate for each group of maps",
    citation=(
        "L. Liu, S. Yang, L. Meng, M. Li, J. Wang. Multi-scale Deep Convolutional Neural Network "
        "for Stroke Lesions Segmentation on CT Images. Submission to the ISLES 2018 challenge."
    ),
    doi="",
    data="phantom_ctp",
    real_data=("isles2018",),
    modalities=("cbf", "cbv", "mtt", "tmax"),
    main_output=FILTERED,
    shown_outputs=(RAW, FILTERED),
    shown_channel=0,
    kept_masks=(FILTERED,),
    scored_splits=("train", "test"),
    settings=MsDcnnSettings(),
    claims=CLAIMS,
    tables=("table1", "table1_hd_decoded"),
    ablations=ABLATIONS,
    profiles=PROFILES,
    folds=FOLDS,
    method=MsDcnnMethod(),
)
