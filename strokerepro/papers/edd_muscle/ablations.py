"""The experiments of the chapter beside the main one, and the scale of each profile."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from strokerepro.papers.base import Ablation

#: Stacks that give each encoder field of Table 3 (sides in pixels); inferred by arithmetic.
STACKS: Mapping[int, tuple[int, ...]] = {
        18: (1, 1, 1), 32: (2, 2, 2), 44: (2, 3, 3), 64: (2, 4, 5),
        96: (2, 3, 3, 3), 128: (2, 3, 3, 5),
}  # fmt: skip
#: The eleven cells of Table 3: patch side and encoder field.
TABLE3_GRID = (
    (32, 18), (32, 32), (64, 32), (64, 44), (64, 64), (96, 44), (96, 64), (96, 96),
    (128, 64), (128, 96), (128, 128),
)  # fmt: skip
_QUICK_CELLS = {(32, 18), (96, 44)}
# Widths that give each field of Table 3 the 1.6 million parameters of the (2, 4, 5) stacks.
_EQUAL_CAPACITY = {18: (94, 188, 376), 32: (54, 107, 215), 44: (42, 84, 167)}


def _single(name: str, replaces: Mapping[str, Any], question: str, published: str,
            quick: bool = False) -> Ablation:  # fmt: skip
    """Build an experiment with one segmentation network; MUSCLE Net plays no part in it."""
    return Ablation(name, {"arch": "deconvnet", **replaces}, question, published, quick)


def _table2() -> list[Ablation]:
    question = "Which generic architecture segments best at 64-px patches?"
    anchor = "test Dice rises DeepLab, FCN, U-Net, DeconvNet (Table 2)"
    return [
        _single("arch_deeplab", {"arch": "deeplab"}, question, anchor, True),
        _single("arch_fcn", {"arch": "fcn"}, question, anchor, True),
        _single("arch_unet", {"arch": "unet"}, question, anchor, True),
        _single("arch_deconvnet", {"convs": STACKS[44]}, question, anchor, True),
    ]


def _mechanism() -> list[Ablation]:
    question = "Do the pooling masks keep small lesions?"
    anchor = "claimed in Sec. 5.1, no experiment published"
    stacks = {"convs": STACKS[44]}
    return [
        _single("unpool_nearest", {**stacks, "unpool": "nearest"}, question, anchor, True),
        _single("unpool_bilinear", {**stacks, "unpool": "bilinear"}, question, anchor),
        _single("unpool_fixed", {**stacks, "unpool": "fixed_topleft"}, question, anchor),
        _single(
            "unet_noskip",
            {"arch": "unet", "skips": False},
            "Do the skip connections of a U-Net keep small lesions?",
            anchor,
        ),
    ]


def _table3() -> list[Ablation]:
    cells = []
    for patch_px, field_px in TABLE3_GRID:
        if (patch_px, field_px) == (64, 44):  # the DeconvNet of Table 2
            continue
        replaces: dict[str, Any] = {"patch_px": patch_px, "convs": STACKS[field_px]}
        if patch_px == 128:
            replaces["sampler"] = "slice"
        cells.append(
            _single(
                f"patch{patch_px}_rf{field_px}", replaces,
                f"What do {patch_px}-px patches and a field of {field_px} px give?",
                "64-px patches are best; 32-px ones flood, 128-px ones miss (Table 3)",
                (patch_px, field_px) in _QUICK_CELLS,
            )
        )  # fmt: skip
    equal = [
        _single(
            f"patch64_rf{field_px}_equal_capacity",
            {"convs": STACKS[field_px], "widths": widths},
            "Is it the field or the number of parameters?",
            "Table 3 varies both together",
        )
        for field_px, widths in _EQUAL_CAPACITY.items()
    ]
    return cells + equal


def _pipeline() -> list[Ablation]:
    ensemble = "How much does the ensemble owe to the number of members and to joint training?"
    return [
        Ablation("members_1", {"n_branches": 1}, ensemble, "not published"),
        Ablation("members_3", {"n_branches": 3}, ensemble, "not published"),
        Ablation("independent", {"joint": False}, ensemble, "not published"),
        Ablation("op_mean_prob", {"ensemble_op": "mean_prob"}, ensemble, "not published"),
        Ablation("refine_prob", {"refine_input": "prob"}, "Logits or probabilities?", "text and "
                 "released network differ"),
        Ablation("candidates_oof", {"muscle_candidates": "oof"},
                 "Does MUSCLE Net overfit to candidates of its own training subjects?",
                 "false positives fall by 83 % on training, 45 % on test subjects"),
        Ablation("candidates_val", {"muscle_candidates": "val"},
                 "Does MUSCLE Net overfit to candidates of its own training subjects?",
                 "false positives fall by 83 % on training, 45 % on test subjects"),
    ]  # fmt: skip


def _training() -> list[Ablation]:
    sampling = "Whom do the patches serve: large lesions or small ones?"
    return [
        Ablation("sampler_lesion", {"sampler": "lesion"}, sampling, "not published"),
        Ablation("sampler_subject", {"sampler": "subject"}, sampling, "not published"),
        Ablation("negatives_10", {"negative_fraction": 0.1},
                 "Would lesion-free patches spare MUSCLE Net its work?", "not published"),
        Ablation("negatives_50", {"negative_fraction": 0.5},
                 "Would lesion-free patches spare MUSCLE Net its work?", "not published", True),
        Ablation("adadelta", {"optimizer": "adadelta"}, "Does the released solver change it?",
                 "the text says SGD, the released solver AdaDelta"),
        Ablation("rotation_0", {"max_rotation_deg": 0.0}, "Do rotations help?", "not published"),
        Ablation("norm_foreground", {"norm": "foreground"}, "Does trimming the brightest 1 % help?",
                 "not published"),
    ]  # fmt: skip


ABLATIONS: Mapping[str, Ablation] = {
    item.name: item for item in (*_table2(), *_mechanism(), *_table3(), *_pipeline(), *_training())
}

#: What each profile replaces. `full` is the paper's width with a GPU's budget, `paper` the text.
PROFILES: Mapping[str, Mapping[str, Any]] = {
        "smoke": {
            "width_scale": 0.125, "bn_momentum": 0.1, "batch": 8, "steps": 20,
            "validate_every": 10, "muscle_batch": 16, "muscle_steps": 20,
        },
        "quick": {
            "width_scale": 0.5, "bn_momentum": 0.1, "batch": 32,
            "steps": 700, "validate_every": 100, "muscle_batch": 64, "muscle_steps": 600,
        },
        "full": {"steps": 10_000, "muscle_steps": 10_000, "bn_momentum": 0.01},
        "paper": {},
}  # fmt: skip
#: Folds of the main experiment in each profile.
FOLDS: Mapping[str, int] = {"smoke": 3, "quick": 3, "full": 5, "paper": 2}
