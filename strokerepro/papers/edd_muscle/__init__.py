"""EDD Net and MUSCLE Net: acute ischaemic lesions in DWI (Chen, Bentley, Rueckert 2017)."""

from strokerepro.papers.base import Recipe
from strokerepro.papers.edd_muscle.ablations import ABLATIONS, FOLDS, PROFILES
from strokerepro.papers.edd_muscle.claims import CLAIMS
from strokerepro.papers.edd_muscle.pipeline import EddMuscle
from strokerepro.papers.edd_muscle.settings import EddMuscleSettings

RECIPE = Recipe(
    slug="edd_muscle",
    title="EDD Net and MUSCLE Net",
    citation=(
        "L. Chen, P. Bentley, D. Rueckert. Fully automatic acute ischemic lesion segmentation in "
        "DWI using convolutional neural networks. NeuroImage: Clinical 15 (2017) 633-643."
    ),
    doi="10.1016/j.nicl.2017.06.016",
    data="phantom_dwi",
    real_data=("isles2022",),
    main_output="edd_muscle",
    shown_outputs=("edd", "edd_muscle"),
    settings=EddMuscleSettings(),
    claims=CLAIMS,
    tables=(*(f"table{number}" for number in range(1, 7)), "intext"),
    ablations=ABLATIONS,
    profiles=PROFILES,
    folds=FOLDS,
    method=EddMuscle(),
)
