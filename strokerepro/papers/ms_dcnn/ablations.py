"""The experiments of the chapter beside the main one, and the scale of each profile."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from strokerepro.papers.base import Ablation

#: The paper compares no variants with one another, so that an experiment tests what it says of
#: its choice, where it says anything.
UNTESTED = "no ablation; the stated motivation: "


def _variant(name: str, replaces: Mapping[str, Any], question: str, published: str,
             quick: bool = False) -> Ablation:  # fmt: skip
    """Build an experiment without further outputs."""
    return Ablation(name, {"variants": (), **replaces}, question, published, quick)


def _paths() -> list[Ablation]:
    paths = "Do two paths help?"
    features = f"{UNTESTED}two pathways extract the features fully (Sec. 1)"
    kernels = "Must the first kernels differ?"
    fields = f"{UNTESTED}several kernels give more receptive fields (Abstract)"
    groups = "Which maps should a path see?"
    role = f"{UNTESTED}the groups play different roles in diagnosis (Sec. 2.2)"
    return [
        _variant("one_path", {"routing": "all4_one"}, paths, features, True),
        _variant("one_path_wide", {"routing": "all4_one", "width_scale": 1.41},
                 "Do two paths help beyond their parameters?", features),
        _variant("kernels_equal", {"stem_kernels": (3, 3)}, kernels, fields, True),
        _variant("kernels_37", {"stem_kernels": (3, 7)}, kernels, fields),
        _variant("kernels_swapped", {"stem_kernels": (5, 3)}, kernels, fields),
        _variant("all4_both", {"routing": "all4_both"}, groups, role, True),
        _variant("group_a", {"routing": "group_a"}, groups, role),
        _variant("group_b", {"routing": "group_b"}, groups, role),
    ]  # fmt: skip


def _dropout() -> list[Ablation]:
    rates = "Which dropout?"
    pair = f"{UNTESTED}it prevents overfitting, proper use helps accuracy (Sec. 1)"
    return [
        _variant("dropout_none", {"dropout": (0.0, 0.0)}, rates, pair, True),
        _variant("dropout_weak", {"dropout": (0.01, 0.01)}, rates,
                 "0.01 is close to optimal on the training set (Sec. 3.1)", True),
        _variant("dropout_strong", {"dropout": (0.5, 0.5)}, rates, pair),
        _variant("dropout_swapped", {"dropout": (0.5, 0.01)}, rates, pair),
        _variant("dropout_channel", {"dropout_kind": "channel"}, "Values or whole maps?",
                 "Eqs. 1 to 3 speak of neurons"),
    ]  # fmt: skip


def _network() -> list[Ablation]:
    depth = "What if the 123 layers are read otherwise?"
    count = "123 layers (Sec. 2.2)"
    return [
        _variant("plain_blocks", {"block": "plain"}, "Do dense blocks reduce overfitting?",
                 f"{UNTESTED}they alleviate overfitting (Abstract)", True),
        _variant("units59", {"units": (6, 12, 24, 17)}, depth, count),
        _variant("single_conv", {"bottleneck": False}, depth, count),
        _variant("transition_conv", {"transition": "compress0.5"}, depth,
                 "BN, ReLU and average pooling (Sec. 2.2)"),
        _variant("stem_stride2", {"stem_stride": 2},
                 "Does a coarser first layer do? (sides that 32 divides, such as 160)",
                 "four up-sampling blocks (Sec. 2.2)"),
    ]  # fmt: skip


def _training() -> list[Ablation]:
    loss = "Which loss?"
    combined = "Eq. 4 is a Dice loss; the text combines it with cross-entropy (Sec. 2.4)"
    augmentation = "Which augmentation?"
    flips = f"{UNTESTED}more training samples (Sec. 1, 3.1)"
    return [
        _variant("loss_bce", {"loss": "bce"}, loss, combined, True),
        _variant("loss_dice_bce", {"loss": "dice+bce"}, loss, combined),
        _variant("head_softmax2", {"head": "softmax2"}, "Sigmoid or softmax?",
                 "sigmoid in Sec. 2.2, softmax in Sec. 2.4"),
        _variant("dice_sample", {"dice_reduce": "sample"}, "The Dice of which pixels?",
                 "not stated"),
        _variant("aug_none", {"flip_probability": 0.0, "max_rotation_deg": 0.0}, augmentation,
                 flips, True),
        _variant("aug_flip", {"max_rotation_deg": 0.0}, augmentation, flips),
        _variant("aug_elastic", {"elastic": True}, augmentation, flips),
        _variant("sgd", {"optimizer": "sgd_nesterov"}, "Which optimiser?", "not stated"),
        _variant("slices_lesion", {"train_slices": "lesion_only"},
                 "Are slices without lesion needed?", "not stated"),
    ]  # fmt: skip


def _protocol() -> list[Ablation]:
    size = "Which size of a slice?"
    return [
        *(_variant(f"input{px}", {"resize_px": px}, size, "160 px (Sec. 3.1)")
          for px in (128, 256)),
        _variant("norm_volume", {"normalise": "zscore_volume"},
                 "Statistics of the brain or of the whole volume?", "not stated"),
        _variant("select_best", {"select": "dice", "validate_on": "inner"},
                 "Would the best weights on held-out patients do better than the last?",
                 "not stated"),
    ]  # fmt: skip


ABLATIONS: Mapping[str, Ablation] = {
    item.name: item for item in (*_paths(), *_dropout(), *_network(), *_training(), *_protocol())
}

# A CPU trains the paper's network at this depth and these widths, on slices of half the matrix.
_TINY: Mapping[str, Any] = {
    "resize_px": 80, "units": (2, 2, 2, 2), "growth": 8, "stem_width": 16,
    "up_widths": (32, 16, 16, 8), "head_width": 8,
}  # fmt: skip
#: What each profile replaces. `full` keeps the paper's network, `paper` the text.
PROFILES: Mapping[str, Mapping[str, Any]] = {
    "smoke": {**_TINY, "epochs": 2, "validate_every": 1},
    "quick": {**_TINY, "epochs": 30, "validate_every": 3},
    "full": {"checkpointing": True},
    "paper": {},
}
#: Folds of the main experiment in each profile.
FOLDS: Mapping[str, int] = {"smoke": 3, "quick": 3, "full": 5, "paper": 5}
