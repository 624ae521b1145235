"""Generator, discriminator, segmentor: from CT perfusion to DWI to the lesion (Liu 2018)."""

from strokerepro.papers.base import Recipe
from strokerepro.papers.ctp_gan.ablations import ABLATIONS, FOLDS, PROFILES
from strokerepro.papers.ctp_gan.claims import CLAIMS
from strokerepro.papers.ctp_gan.pipeline import ORACLE, SEGMENTATION, CtpGanMethod
from strokerepro.papers.ctp_gan.preparation import needed_images
from strokerepro.papers.ctp_gan.settings import CtpGanSettings

RECIPE = Recipe(
    slug="ctp_gan",
    title="Segmentation of a DWI generated from CT perfusion",
    citation=(
        "P. Liu. Stroke Lesion Segmentation with 2D Novel CNN Pipeline and Novel Loss Function. "
        "Brainlesion workshop at MICCAI 2018."
    ),
    doi="",
    data="phantom_ctp",
    real_data=("isles2018",),
    modalities=("cbf", "cbv", "mtt", "tmax", "dwi", "ctp"),
    needed=needed_images,
    main_output=SEGMENTATION,
    shown_outputs=(SEGMENTATION, ORACLE),
    shown_channel=0,
    kept_masks=(SEGMENTATION,),
    scored_splits=("test",),
    settings=CtpGanSettings(),
    claims=CLAIMS,
    tables=("table1", "intext_values"),
    ablations=ABLATIONS,
    profiles=PROFILES,
    folds=FOLDS,
    method=CtpGanMethod(),
)
