"""Every hyper-parameter of the dual-path dense U-net with its provenance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, NonNegativeFloat, PositiveFloat, PositiveInt

from strokerepro.papers.base import inferred, ours, stated

Share = Annotated[float, Field(ge=0, le=1)]
OpenShare = Annotated[float, Field(ge=0, lt=1)]
#: Maps are halved four times.
Side = Annotated[int, Field(gt=0, multiple_of=16)]


def _odd(size: int) -> int:
    if size % 2 == 0:
        raise ValueError("an odd number of pixels")
    return size


OddSize = Annotated[int, Field(ge=1), AfterValidator(_odd)]
Routing = Literal["grouped", "all4_both", "all4_one", "group_a", "group_b"]


@dataclass(frozen=True)
class MsDcnnSettings:
    """Settings of Liu et al. (2018)."""

    # Data
    resize_px: Side = stated(160, "Sec. 3.1", "side of the square that each slice is resized to")
    normalise: Literal["zscore_brain", "zscore_volume"] = ours(
        "zscore_brain", "not stated", "intensity statistics of each map of a case"
    )
    routing: Routing = inferred(
        "grouped", "Sec. 2.2, 2.3: two groups, each with its own dropout",
        "maps of the two paths: Tmax, CBF, CBV and MTT; all four in both; all, or one group, in "
        "a single path",
    )  # fmt: skip
    train_slices: Literal["all", "lesion_only"] = ours(
        "all", "not stated; without lesion-free slices nothing teaches that there are some",
        "slices that are trained on",
    )  # fmt: skip
    val_fraction: OpenShare = ours(0.25, "not stated", "training patients to validate on, if inner")
    validate_on: Literal["outer", "inner"] = ours(
        "outer", "no validation set is mentioned; nothing is chosen on the reported cases",
        "draw curves of the reported cases, or of patients held out from training",
    )  # fmt: skip

    # Augmentation
    flip_probability: Share = ours(
        0.5, "flips are stated in Sec. 3.1, neither axis nor rate", "left-right flips of a slice"
    )
    max_rotation_deg: NonNegativeFloat = ours(
        15.0, "random rotation is stated in Sec. 3.1 without a range", "largest rotation, degrees"
    )
    elastic: bool = ours(
        False, "Sec. 1 mentions distortion, Sec. 3.1 lists flips and rotations alone",
        "elastic deformation of slices",
    )  # fmt: skip
    elastic_alpha: NonNegativeFloat = ours(
        1.0, "not stated; shifts of 1.4 px (SD)", "strength of the deformation"
    )
    elastic_sigma: PositiveFloat = ours(
        0.12, "not stated; that of the chapter core_resnet", "its smoothness, slice widths"
    )

    # Network
    stem_kernels: tuple[OddSize, OddSize] = inferred(
        (3, 5), "Sec. 1: dual parallel kernels, after GoogLeNet, whose parallel kernels these are",
        "sides of the first kernel in the two paths; the first one in a single path",
    )  # fmt: skip
    stem_width: PositiveInt = inferred(
        64, "Sec. 2.2: DenseNet-121 is extended", "maps of the first convolution"
    )
    stem_stride: Literal[1, 2] = inferred(
        1, "Sec. 2.2: one pooling, three transitions and four up-samplings balance",
        "stride of the first convolution; 2 needs a side that 32 divides, not 16 alone",
    )  # fmt: skip
    units: tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt] = inferred(
        (6, 12, 24, 16), "Sec. 2.2: DenseNet-121; 116 convolutions + 3 + 4 = 123 layers",
        "dense units of the four blocks",
    )  # fmt: skip
    growth: PositiveInt = inferred(
        32, "Sec. 2.2: DenseNet-121 is extended", "maps that a dense unit adds"
    )
    bottleneck: bool = inferred(
        True, "Sec. 2.2: with one convolution a unit the depth is 65 instead of 123",
        "1x1 convolution before the 3x3 of a unit",
    )  # fmt: skip
    transition: Literal["none", "compress0.5"] = stated(
        "none", "Sec. 2.2: BN, ReLU, average pooling", "convolution of a transition block"
    )
    block: Literal["dense", "plain"] = stated(
        "dense", "Sec. 2.2", "dense blocks, or plain ones with as many parameters"
    )
    up_widths: tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt] = ours(
        (256, 128, 64, 32), "not stated", "maps of the four up-sampling blocks"
    )
    width_scale: PositiveFloat = ours(
        1.0, "so that networks of other shape can have as many parameters", "factor on all widths"
    )
    head_width: PositiveInt = ours(32, "not stated", "maps between the last two convolutions")
    head: Literal["sigmoid1", "softmax2"] = inferred(
        "sigmoid1", "Sec. 2.2: sigmoid; Sec. 2.4 says softmax, and one class, which contradict",
        "one logit and a sigmoid, or two and a softmax",
    )  # fmt: skip
    dropout: tuple[OpenShare, OpenShare] = stated(
        (0.01, 0.5), "Sec. 2.3; Sec. 3.1 speaks of 0.01 alone", "rates of the two paths"
    )
    dropout_kind: Literal["element", "channel"] = inferred(
        "element", "Sec. 2.3, Eq. 1: neurons", "what is dropped"
    )
    checkpointing: bool = ours(
        False, "the same result with less memory and more time",
        "compute the maps of dense blocks again on the way back",
    )  # fmt: skip

    # Optimisation
    loss: Literal["dice", "dice+bce", "bce"] = inferred(
        "dice", "Eq. 4; Sec. 2.4 speaks of cross-entropy beside it, which Eq. 4 lacks",
        "training loss",
    )  # fmt: skip
    dice_reduce: Literal["batch", "sample"] = ours(
        "batch", "not stated; alone, a slice without lesion costs 1 whatever is predicted",
        "pixels that one Dice is of: all of a batch, or those of a slice",
    )  # fmt: skip
    dice_eps: PositiveFloat = ours(
        1.0, "not stated; Eq. 4 is 0 / 0 without it", "added to numerator and denominator"
    )
    optimizer: Literal["adam", "sgd_nesterov"] = ours(
        "adam", "not stated; the stated rate is Adam's default", "optimiser"
    )
    lr: PositiveFloat = stated(0.001, "Sec. 3.1", "learning rate, constant")
    batch: PositiveInt = stated(4, "Sec. 3.1", "slices per step")
    epochs: PositiveInt = stated(70, "Sec. 3.1", "passes over the training slices")
    select: Literal["last", "dice"] = ours(
        "last", "no early stopping is mentioned", "weights that are kept: last, or best Dice"
    )
    validate_every: PositiveInt = ours(5, "for the curves alone", "epochs between validations")
    precision: Literal["bf16-mixed", "32-true"] = ours(
        "bf16-mixed", "speed", "arithmetic of training and inference"
    )

    # Inference
    threshold: Share = ours(0.5, "not stated", "probability from which a voxel is lesion")
    median_px: OddSize = ours(
        5, "a median filter is stated in Sec. 3.1 without a size", "its side, pixels of the file"
    )
    variants: tuple[str, ...] = ours(
        ("median3", "median7", "mask_first"),
        "size of the median and order of threshold and restoring are not stated",
        "outputs that are scored beside the two, without further training",
    )
