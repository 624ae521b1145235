"""The experiments of the chapter beside the main one, and the scale of each profile."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from strokerepro.papers.base import Ablation
from strokerepro.papers.ctp_gan.settings import FIVE, MAPS

#: Before the fourth stage: batch normalisation and two plain classes (Sec. 3.2).
_BEFORE_FOURTH: Mapping[str, Any] = {"norm": "bn", "background_maps": 1}
STAGE_1: Mapping[str, Any] = {**_BEFORE_FOURTH, "pipeline": "dwi"}
STAGE_2: Mapping[str, Any] = {**_BEFORE_FOURTH, "pipeline": "direct", "inputs": MAPS}
STAGE_3: Mapping[str, Any] = {**_BEFORE_FOURTH, "pipeline": "gan", "inputs": FIVE}

UNSTATED = "not stated"
_NO_AUGMENTATION: Mapping[str, Any] = {
    "flip_probability": 0.0, "max_rotation_deg": 0.0, "scale_range": (1.0, 1.0),
    "max_shift_px": 0.0,
}  # fmt: skip


def _stages() -> list[Ablation]:
    table = "Table 1: what does each stage bring?"
    parts = "Stage 3 brings a GAN and a fifth channel: which of them helps?"
    together = "both together 0.0366 (Table 1)"
    changes = "Stage 4 brings several changes: which of them helps?"
    all_changes = "all together 0.0236 (Table 1)"
    return [
        Ablation("stage1_dwi", STAGE_1, table, "Dice 0.8473", True, all_folds=True),
        Ablation("stage2_direct", STAGE_2, table, "Dice 0.5463", True, all_folds=True),
        Ablation("stage3_gan", STAGE_3, table, "Dice 0.5829", True, all_folds=True),
        Ablation("gan_4ch", {**STAGE_3, "inputs": MAPS}, parts, together, True),
        Ablation("direct_5ch", {**STAGE_2, "inputs": FIVE}, parts, together, True),
        Ablation("stage3_gn", {**STAGE_3, "norm": "gn"}, changes, all_changes, True),
        Ablation("stage3_maxout", {**STAGE_3, "background_maps": 3}, changes, all_changes, True),
        Ablation("stage3_attention", {**STAGE_3, "self_attention": "bottleneck_S"}, changes,
                 all_changes),
        Ablation("attention", {"self_attention": "bottleneck_S"}, changes, all_changes),
        Ablation("attention_both", {"self_attention": "bottleneck_GS"}, changes, all_changes),
        Ablation("direct_stage4", {"pipeline": "direct"},
                 "Would the changes of stage 4 do as much without a GAN?", "not published"),
        Ablation("dwi_stage4", {"pipeline": "dwi"},
                 "What does the real DWI give to the segmentor of stage 4?", "not published"),
    ]  # fmt: skip


def _normalisation() -> list[Ablation]:
    question = "Does group normalisation depend less on the batch size?"
    said = "it does (Sec. 2.2); Fig. 7 has a batch of 6 alone"
    return [
        *(Ablation(f"gn_batch{size}", {"batch": size}, question, said) for size in (2, 16)),
        *(Ablation(f"bn_batch{size}", {"norm": "bn", "batch": size}, question, said)
          for size in (2, 16)),
        Ablation("instance_norm", {"norm": "in"}, "Or normalise each map alone?", "not published"),
        *(Ablation(f"background{count}", {"background_maps": count},
                   "How many background maps?", "three reduce false positives (Sec. 2.2)")
          for count in (2, 5)),
    ]  # fmt: skip


def _losses() -> list[Ablation]:
    loss = "Which segmentation loss?"
    stable = "Eq. 5 is more stable than Eq. 4 (Sec. 2.3)"
    weights = "How are the classes weighted?"
    return [
        Ablation("loss_bce_log_dice", {"seg_loss": "bce_log_dice"}, loss, stable, True),
        *(Ablation(f"loss_{name}", {"seg_loss": name}, loss, "not published")
          for name in ("ce", "dice", "gdl")),
        Ablation("loss_literal", {"seg_loss": "literal"}, "Eq. 5 as printed?",
                 "it rewards less overlap"),
        Ablation("ce_balanced", {"ce_balanced": True}, weights,
                 "the abstract says weighted, Eq. 5 does not"),
        *(Ablation(f"gdc_power{power}", {"gdc_power": float(power)}, weights, "by citation: 2")
          for power in (1, 0)),
        Ablation("gdc_ignore_empty", {"gdc_empty": "ignore"}, weights, UNSTATED),
    ]  # fmt: skip


def _adversary() -> list[Ablation]:
    need = "Which of the three losses is needed?"
    ratio = "0.002 : 0.5 : 1 (Sec. 3.1)"
    reading = "What if the discriminator is read otherwise?"
    return [
        Ablation("omega_d0", {"omega": (0.002, 0.0, 1.0)}, need, ratio, True),
        Ablation("omega_g0", {"omega": (0.0, 0.5, 1.0)}, need, ratio),
        Ablation("omega_gd0", {"omega": (0.0, 0.0, 1.0)}, need, ratio),
        Ablation("gloss_scale1", {"gloss_scale": 1.0}, "On which scale is 0.002 meant?", UNSTATED),
        Ablation("seg_detach", {"seg_detach": True}, "Must the generator see the lesion loss?",
                 "one loss for both (Eq. 6)"),
        Ablation("gan_log", {"adversarial": "log"}, "Least squares or logarithms?",
                 "least squares are more stable and faster (Sec. 3.2)"),
        Ablation("seg_mix_real", {"seg_mix_real": True}, "Should the segmentor see real DWI too?",
                 "not mentioned"),
        Ablation("seg_input_ctp", {"seg_input": "dwi+ctp"}, "Does the segmentor lack the inputs?",
                 "the generated DWI alone (Fig. 1)"),
        Ablation("disc_cond", {"disc_cond": True}, reading, "it judges its input DWI"),
        Ablation("disc_patches", {"disc_pool": "none"}, reading, "average pooling"),
        Ablation("disc_linear", {"disc_last": "gn_relu_linear"}, reading,
                 "all five convolutions are normalised"),
        Ablation("alternate_epoch", {"alternate": "epoch"}, "Alternate by batch or by epoch?",
                 "alternately (Sec. 3.1)"),
    ]  # fmt: skip


def _protocol() -> list[Ablation]:
    leak = "What does a split that parts patients or slabs pretend?"
    return [
        Ablation("split_slice", {"split_by": "slice"}, leak, UNSTATED),
        Ablation("split_case", {"split_by": "case"}, leak, UNSTATED),
        Ablation("aug_none", _NO_AUGMENTATION, "Does augmentation help?", "not published"),
        Ablation("rmsprop099", {"rmsprop_alpha": 0.99}, "What is gamma?", "0.9, without a role"),
        Ablation("with_ct", {"inputs": (*FIVE, "ct")}, "Would the plain CT help?",
                 "the abstract generates DWI from CT, no list of inputs has it"),
        Ablation("pwi_above_baseline", {"pwi_feature": "max-baseline"},
                 "The maximum, or what of it is contrast agent?", "the maximum (Sec. 2.1)"),
        Ablation("norm_volume", {"normalise": "zscore_volume"},
                 "Statistics of the brain or of the whole volume?", UNSTATED),
        # Fewer patients to train on in both: the first differs from the second in the choice alone.
        Ablation("select_best", {"select": "dice", "validate_on": "inner"},
                 "Would the best weights on held-out patients do better than the last?", UNSTATED),
        Ablation("inner_last", {"validate_on": "inner"},
                 "The last weights of that training; what do held-out patients cost?", UNSTATED),
    ]  # fmt: skip


ABLATIONS: Mapping[str, Ablation] = {
    item.name: item
    for item in (*_stages(), *_normalisation(), *_losses(), *_adversary(), *_protocol())
}

# Half the matrix: four convolutions see as many millimetres of it as five see of the whole one.
# With gamma 0.9, Hinton's default for RMSprop is a rate of 0.001 (Neural networks for machine
# learning, lecture 6e); 0.0001 is the paper's, for fifty times as many steps.
_HALF: Mapping[str, Any] = {
    "matrix_px": 128, "window_px": 112, "disc_widths": (16, 32, 64, 1), "optimizer_lr": 1e-3,
}  # fmt: skip
#: What each profile replaces. `full` keeps the paper's networks, `paper` the text. Milestones are
#: at the same shares of a training as 100, 300 and 500 of 700 epochs.
PROFILES: Mapping[str, Mapping[str, Any]] = {
    "smoke": {
        "matrix_px": 64, "window_px": 64, "disc_widths": (4, 8, 16, 1), "base": 4, "epochs": 2,
        "lr_milestones": (1,),
    },
    "quick": {**_HALF, "base": 8, "epochs": 14, "lr_milestones": (2, 6, 10)},
    "full": {"validate_every": 5},
    "paper": {},
}  # fmt: skip
#: Folds of the main experiment in each profile.
FOLDS: Mapping[str, int] = {"smoke": 3, "quick": 3, "full": 4, "paper": 4}
