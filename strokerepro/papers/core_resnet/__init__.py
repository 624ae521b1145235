"""Residual encoder-decoder: infarct core in CT and CT perfusion (Clerigues et al. 2019)."""

from strokerepro.papers.base import Recipe
from strokerepro.papers.core_resnet.ablations import ABLATIONS, FOLDS, PROFILES
from strokerepro.papers.core_resnet.claims import CLAIMS
from strokerepro.papers.core_resnet.pipeline import CoreResNetMethod
from strokerepro.papers.core_resnet.prediction import FILTERED, SINGLE
from strokerepro.papers.core_resnet.settings import CoreResNetSettings

RECIPE = Recipe(
    slug="core_resnet",
    title="Residual encoder-decoder with mirrored modalities",
    citation=(
        "A. Clèrigues, S. Valverde, J. Bernal, J. Freixenet, A. Oliver, X. Lladó. Acute ischemic "
        "stroke lesion core segmentation in CT perfusion images using fully convolutional neural "
        "networks. Computers in Biology and Medicine 115 (2019) 103487."
    ),
    doi="10.1016/j.compbiomed.2019.103487",
    data="phantom_ctp",
    real_data=("isles2018",),
    modalities=("ct", "cbf", "cbv", "mtt", "tmax"),
    main_output=FILTERED,
    shown_outputs=(SINGLE, FILTERED),
    shown_channel=4,
    kept_masks=(SINGLE, FILTERED),
    scored_splits=("test",),
    settings=CoreResNetSettings(),
    claims=CLAIMS,
    tables=("table1", "table2", "intext_pvalues"),
    ablations=ABLATIONS,
    profiles=PROFILES,
    folds=FOLDS,
    method=CoreResNetMethod(),
)
