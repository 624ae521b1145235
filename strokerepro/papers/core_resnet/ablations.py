"""The experiments of the chapter beside the main one, and the scale of each profile."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from strokerepro.papers.base import Ablation

#: The plain network without mirrored channels and without dropout at prediction: "Single + RT".
REGULARISED: Mapping[str, Any] = {"symmetry": "none", "uf_passes": 0, "variants": ()}
#: The authors' earlier entry as far as the text tells; one network stands for its cascade of two.
BASELINE: Mapping[str, Any] = {
    **REGULARISED, "loss": "ce", "patch_px": 48, "selection": "random", "offset": False,
    "elastic": False, "dropout_train": 0.0, "stop_metric": "soft_dice",
}  # fmt: skip
#: What the published tool does where it departs from the text.
RELEASED: Mapping[str, Any] = {
    "batch": 32, "patience": 8, "max_epochs": 50, "min_delta": 1e-4, "offset": False,
    "gdl_power": 1, "uf_kind": "alpha", "normalise": "zscore_volume", "symmetry": "rigid",
    "register_on": "unstripped", "step_px": 3, "validate_on": "inner",
}  # fmt: skip


def _variant(name: str, replaces: Mapping[str, Any], question: str, published: str,
             quick: bool = False) -> Ablation:  # fmt: skip
    """Build an experiment that is compared with the plain prediction of the main one."""
    return Ablation(name, {"uf_passes": 0, "variants": (), **replaces}, question, published, quick)


def _configurations() -> list[Ablation]:
    table = "Table 1: which step of the method brings what?"
    return [
        Ablation("baseline_lite", BASELINE, table, "Dice 5.7 points below the full method", True,
                 all_folds=True),
        Ablation("rt", REGULARISED, table, "Dice 4.5 points above the baseline", True,
                 all_folds=True),
        Ablation("released", RELEASED, "Does the published tool, as it is, differ?",
                 "text and tool differ in twelve places"),
    ]  # fmt: skip


def _patches() -> list[Ablation]:
    size = "Which patch size?"
    anchor = "64 of 16 to 96 px is best (Sec. 3.1)"
    share = "What does balanced sampling bring?"
    return [
        *(_variant(f"patch{px}", {"patch_px": px}, size, anchor, px == 32)
          for px in (16, 32, 48, 96)),
        _variant("sampling_uniform", {"sampler": "uniform", "elastic": False, "offset": False},
                 share, "the share of lesion voxels rises from 5 to 12 % (Sec. 3.1)", True),
        _variant("offset_off", {"offset": False}, "Does the random shift help?",
                 "it covers the penumbra (Sec. 3.1)"),
        _variant("elastic_off", {"elastic": False}, "Does elastic deformation help?",
                 "not published"),
        _variant("elastic_pixel", {"elastic_units": "pixel"},
                 "What if the stated numbers are pixels?", "unit not stated"),
        _variant("negatives_any_brain", {"negatives": "any_brain"},
                 "Does it matter where the other half is centred?", "the release: anywhere"),
        _variant("selection_random", {"selection": "random"},
                 "Regular or random positions?", "not published"),
    ]  # fmt: skip


def _network() -> list[Ablation]:
    lighter = "Is the lighter decoder no worse?"
    return [
        _variant("decoder2", {"decoder_convs": 2}, lighter, "claimed by citation (Sec. 3.2)", True),
        _variant("residual_off", {"residual": False}, "Do short residual connections help?",
                 "claimed by citation (Sec. 3.2)"),
        _variant("dropout_off", {"dropout_train": 0.0}, "Does dropout in training help?",
                 "not published"),
        _variant("skip_concat", {"skip": "concat"}, "Sum or concatenation?", "not published"),
        _variant("down_strided", {"down": "strided"}, "Is max-pooling needed?", "not published"),
        _variant("act_relu", {"act": "relu"}, "Does PReLU matter?", "not published"),
    ]  # fmt: skip


def _training() -> list[Ablation]:
    loss = "Which loss copes best with the imbalance?"
    anchor = "the sum of both (Sec. 3.1)"
    size = "What does the batch size do?"
    stop = "Which metric should stop the training?"
    return [
        _variant("loss_ce", {"loss": "ce"}, loss, anchor, True),
        _variant("loss_gdl", {"loss": "gdl"}, loss, anchor, True),
        _variant("loss_focal", {"loss": "focal"}, loss, "the discussion credits it (Sec. 5)"),
        _variant("gdl_power1", {"gdl_power": 1}, "Weights 1 / n or 1 / n squared?",
                 "cited: squared; released: not"),
        *(_variant(f"batch{size_px}", {"batch": size_px}, size, "64 is a compromise (Sec. 3.3)")
          for size_px in (16, 32, 128, 256)),
        _variant("stop_loss", {"stop_metric": "loss"}, stop,
                 "the loss rises while Dice improves (Sec. 4.1, Fig. 3)", True),
        _variant("stop_dice", {"stop_metric": "dice"}, stop, "not published"),
    ]  # fmt: skip


def _protocol() -> list[Ablation]:
    mirrored = "What does the alignment of the mirrored channels bring?"
    return [
        _variant("sym_flip", {"symmetry": "flip"}, mirrored, "not published", True),
        _variant("sym_rigid", {"symmetry": "rigid"}, mirrored, "the release: rigid"),
        Ablation("inner", {"validate_on": "inner", "variants": ()},
                 "How optimistic is stopping and tuning on the reported cases?", "not published",
                 True),
        _variant("norm_volume", {"normalise": "zscore_volume"},
                 "Statistics of the brain or of the whole volume?", "the release: whole volume"),
        _variant("register_unstripped", {"register_on": "unstripped"},
                 "Align the stripped CT or the whole head?", "text and release differ"),
    ]  # fmt: skip


ABLATIONS: Mapping[str, Ablation] = {
    item.name: item
    for item in (*_configurations(), *_patches(), *_network(), *_training(), *_protocol())
}

# 10 to 500 voxels of 1 x 1 x 5 mm, which the paper takes its images to have.
_IN_ML = {
    "min_size_unit": "ml",
    "min_sizes": (0.05, 0.5, 1.0, 1.5, 2.0, 2.5),
    "ensemble_min_size": 1.0,
}
# The shift of the elastic deformation is the same in pixels at every patch size, so half of it is
# the same in millimetres on pixels twice as large.
_HALF_MATRIX = {**_IN_ML, "matrix_divisor": 2, "elastic_alpha": 1.25}
#: What each profile replaces. `full` keeps the paper's network, `paper` the text.
PROFILES: Mapping[str, Mapping[str, Any]] = {
        "smoke": {
            **_HALF_MATRIX, "base_filters": 2, "batch": 8, "patches_per_case": 8,
            "val_patches_per_case": 8, "max_epochs": 2, "step_px": 32,
            "bn_momentum": 0.1,
        },
        "quick": {
            **_HALF_MATRIX, "patches_per_case": 160, "val_patches_per_case": 80,
            "max_epochs": 8, "patience": 4, "step_px": 16, "bn_momentum": 0.1,
            "variants": ("uf_rate50", "uf_passes1", "step32"),
        },
        "full": {**_IN_ML, "patches_per_case": 2000, "max_epochs": 40, "step_px": 4},
        "paper": {},
}  # fmt: skip
#: Folds of the main experiment in each profile.
FOLDS: Mapping[str, int] = {"smoke": 3, "quick": 3, "full": 5, "paper": 5}
