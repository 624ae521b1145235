"""Every hyper-parameter of EDD Net and MUSCLE Net with its provenance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from strokerepro.papers.base import inferred, ours, released, stated

Share = Annotated[float, Field(ge=0, le=1)]
OpenShare = Annotated[float, Field(ge=0, lt=1)]
Widths = Annotated[tuple[PositiveInt, ...], Field(min_length=2)]
Architecture = Literal["edd", "deconvnet", "unet", "fcn", "deeplab"]


@dataclass(frozen=True)
class EddMuscleSettings:
    """Settings of Chen, Bentley and Rueckert (2017), doi:10.1016/j.nicl.2017.06.016."""

    # Data
    px_mm: PositiveFloat = stated(1.6, "Sec. 4.1", "in-plane pixel size after resampling, mm")
    crop: Literal["128", "native_pad4"] = released(
        "128", "EDD/net_deploy", "in-plane size: 128 centred on the brain, or native and padded"
    )
    norm: Literal["release", "whole_volume", "foreground"] = released(
        "release", "utils.py; Sec. 4.1 says only zero mean, unit variance", "intensity statistics"
    )
    slice_mode: Literal["thick", "native"] = inferred(
        "thick", "Sec. 4.1: 5 mm slices", "average thin slices into slices of about 6 mm"
    )
    thick_mask: Literal["vote", "any"] = ours(
        "vote", "paper has thick slices only", "mask of a thick slice: half of its voxels, or any"
    )
    mask_resample: Literal["linear", "nearest"] = ours(
        "linear", "not stated; matches the image's geometry", "in-plane resampling of the mask"
    )
    val_fraction: OpenShare = inferred(
        0.28, "Sec. 4.1: 106 of 380 development subjects", "share of development subjects"
    )

    # Sampling and augmentation
    patch_px: PositiveInt = stated(64, "Sec. 5.2", "side of a training patch, pixels")
    sampler: Literal["pixel", "lesion", "subject", "slice"] = stated(
        "pixel", "Sec. 4.2", "what is drawn uniformly: lesion pixels, lesions, subjects, slices"
    )
    negative_fraction: Share = stated(
        0.0, "Sec. 4.2: patches are drawn at lesion pixels only", "share of patches off lesions"
    )
    flip_probability: Share = ours(0.5, "Sec. 4.2 names the flip only", "horizontal flip")
    max_rotation_deg: NonNegativeFloat = ours(
        180.0, "Sec. 4.2: rotated randomly", "rotation range, degrees"
    )

    # Networks
    arch: Architecture = stated("edd", "Sec. 3.1", "segmentation network")
    convs: Widths = released(
        (2, 4, 5), "EDD/net; the only monotone stacks but one with the stated field of 64",
        "convolutions per stack of a DeconvNet",
    )  # fmt: skip
    widths: Widths = released(
        (32, 64, 128, 256), "EDD/net; the 256 of a fourth stack is our doubling",
        "feature maps per stack, as many as there are stacks",
    )  # fmt: skip
    width_scale: PositiveFloat = ours(
        1.0, "profiles for a CPU narrow all networks", "factor on all widths"
    )
    unpool: Literal["indices", "nearest", "bilinear", "fixed_topleft"] = stated(
        "indices", "Sec. 3.1, Fig. 4", "what the decoder's unpooling uses"
    )
    skips: bool = stated(True, "Sec. 3.1", "U-Net: concatenate encoder maps")
    n_branches: Annotated[int, Field(ge=1, le=3)] = stated(
        2, "Sec. 3.4", "DeconvNets in the ensemble"
    )
    joint: bool = stated(True, "Sec. 5.3", "gradients of the later losses reach the branches")
    ensemble_op: Literal["sum_relu_1x1", "mean_prob", "concat_1x1"] = released(
        "sum_relu_1x1", "EDD/net; Eq. 1 leaves the operation open", "how branches are combined"
    )
    refine_input: Literal["logits", "prob"] = released(
        "logits", "EDD/net; Sec. 3.1 says probability map", "what is concatenated with the image"
    )
    bn_momentum: Share = released(
        0.001, "Caffe's moving fraction 0.999", "update rate of the running statistics"
    )

    # Optimisation of the segmentation network
    optimizer: Literal["sgd", "adadelta"] = stated(
        "sgd", "Sec. 3.4; the released solver says AdaDelta", "update rule"
    )
    lr: PositiveFloat = stated(0.05, "Sec. 3.4", "learning rate, fixed")
    momentum: OpenShare = stated(0.9, "Sec. 3.4", "momentum, or AdaDelta's rho")
    weight_decay: NonNegativeFloat = stated(0.0, "Sec. 3.4", "weight decay")
    batch: PositiveInt = released(100, "EDD/net", "patches per step")
    steps: PositiveInt = released(40_000, "EDD/solver", "optimiser steps")
    validate_every: PositiveInt = released(500, "EDD/solver", "steps between validations")
    select: Literal["last", "dice"] = ours(
        "dice", "a validation set exists, its use is not stated", "which weights are kept"
    )
    precision: Literal["bf16-mixed", "32-true"] = ours(
        "bf16-mixed", "speed; early losses agree with float32 to three decimals", "arithmetic"
    )

    # Candidates and MUSCLE Net
    threshold: Share = released(0.5, "utils.py", "probability above which a pixel is lesion")
    muscle_max_px: PositiveInt = stated(60, "Sec. 5.4", "largest candidate, pixels")
    muscle_scales: tuple[PositiveInt, ...] = released(
        (16, 24, 32), "utils.py", "window sides, pixels"
    )
    muscle_side: PositiveInt = stated(16, "Sec. 3.2, Fig. 5", "side of MUSCLE Net's input, pixels")
    muscle_positive_iou: Share = ours(
        0.0, "matches the definition of a false positive", "overlap above which it is real"
    )
    muscle_candidates: Literal["train", "val", "oof"] = inferred(
        "train", "false positives fall by 83 % on training subjects, 45 % elsewhere",
        "whose candidates MUSCLE Net learns from",
    )  # fmt: skip
    muscle_balance: bool = ours(True, "makes the prior of the fusion explicit", "balanced batches")
    muscle_lr: PositiveFloat = released(0.01, "MUSCLE/solver; Sec. 3.4 says 0.05", "learning rate")
    muscle_bn: bool = released(False, "MUSCLE/net; Sec. 3.4 says batch norm", "batch norm")
    muscle_dropout: OpenShare = released(0.5, "MUSCLE/net", "dropout of the dense layers")
    muscle_batch: Annotated[int, Field(ge=2)] = released(100, "MUSCLE/net", "candidates per step")
    muscle_steps: PositiveInt = released(30_000, "MUSCLE/solver", "optimiser steps")

    # Fusion and evaluation
    fusion: Literal["bayes_odds", "product", "gate", "none"] = inferred(
        "bayes_odds", "Sec. 3.2: Bayes' theorem, no formula", "how both probabilities are fused"
    )
    fusion_scope: Literal["component", "window16"] = inferred(
        "component", "Sec. 3.2 speaks of removing candidates", "pixels that the fusion may change"
    )
    fusion_prior: Annotated[float, Field(gt=0, lt=1)] = ours(
        0.5, "balanced batches", "prior of a candidate being real"
    )
    connectivity: Literal["2d8", "2d4", "3d26"] = inferred(
        "2d8", "sizes in pixels, counts per slice", "what is one lesion in the metrics"
    )
