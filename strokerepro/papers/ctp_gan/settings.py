"""Every hyper-parameter of the pipeline of generator, discriminator and segmentor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from strokerepro.errors import UsageError
from strokerepro.papers.base import inferred, ours, stated

Share = Annotated[float, Field(ge=0, le=1)]
OpenShare = Annotated[float, Field(ge=0, lt=1)]
#: Maps are halved four times.
Side = Annotated[int, Field(gt=0, multiple_of=16)]
Channel = Literal["mtt", "tmax", "cbv", "cbf", "ctp_max", "ct"]
Channels = Annotated[tuple[Channel, ...], Field(min_length=1)]
Widths = Annotated[tuple[PositiveInt, ...], Field(min_length=2)]
#: The four perfusion maps and the maximum over time of the series, in the paper's order.
MAPS: tuple[Channel, ...] = ("mtt", "tmax", "cbv", "cbf")
FIVE: tuple[Channel, ...] = (*MAPS, "ctp_max")


@dataclass(frozen=True)
class CtpGanSettings:
    """Settings of Liu (2018).

    Raises
    ------
    UsageError
        A window larger than the matrix.
    """

    # Data
    pipeline: Literal["gan", "direct", "dwi"] = stated(
        "gan", "Fig. 1, Sec. 3.2: the third and the fourth stage",
        "segment a DWI generated from the inputs, the inputs themselves, or the real DWI",
    )  # fmt: skip
    inputs: Channels = stated(
        FIVE, "Sec. 2.1; the abstract's plain CT is in no list of inputs", "channels of the input"
    )
    matrix_px: Side = stated(256, "Sec. 2.1", "side of the square that slices are brought to")
    window_px: Side = stated(
        256, "Sec. 3.1: (B, 5, 256, 256)", "side of the square around the brain that is used"
    )
    normalise: Literal["zscore_brain", "zscore_volume"] = ours(
        "zscore_brain", "Sec. 2.1 says that there is one, not which",
        "intensity statistics of each channel of a case",
    )  # fmt: skip
    pwi_feature: Literal["max", "max-baseline"] = stated(
        "max", "Sec. 2.1: the maximal value along time; no baseline is subtracted",
        "what is taken from the series",
    )  # fmt: skip
    split_by: Literal["patient", "case", "slice"] = ours(
        "patient", "not stated; two slabs of one patient, and slices of one slab, are alike",
        "what a fold keeps together",
    )  # fmt: skip
    val_fraction: OpenShare = ours(0.25, "not stated", "training patients to validate on, if inner")
    validate_on: Literal["outer", "inner"] = inferred(
        "outer", "Fig. 7: curves of the validation folds; nothing is chosen on them",
        "draw curves of the reported cases, or of patients held out from training",
    )  # fmt: skip

    # Augmentation: Sec. 2.1 names the operations alone.
    flip_probability: Share = ours(0.5, "flips without axis or rate, Sec. 2.1", "left-right flips")
    max_rotation_deg: NonNegativeFloat = ours(
        15.0, "rotation without a range, Sec. 2.1", "largest rotation, degrees"
    )
    scale_range: tuple[PositiveFloat, PositiveFloat] = ours(
        (0.9, 1.1), "scaling without a range, Sec. 2.1", "smallest and largest factor"
    )
    max_shift_px: NonNegativeFloat = ours(
        10.0, "translation without a range, Sec. 2.1", "largest shift, pixels of a 256 matrix"
    )

    # Generator and segmentor
    base: PositiveInt = inferred(
        64, "Sec. 2.2 cites the U-Net; fits the card of Sec. 3.2 at this batch",
        "feature maps of the first level; doubled four times",
    )  # fmt: skip
    norm: Literal["gn", "bn", "in"] = stated(
        "gn", "Sec. 2.2; the stages before the fourth have batch normalisation (Sec. 3.2)",
        "normalisation in generator and segmentor",
    )  # fmt: skip
    gn_channels_per_group: PositiveInt = stated(
        16, "Sec. 3.1", "channels of a group; fewer than that are one group"
    )
    background_maps: PositiveInt = stated(
        3, "Sec. 2.2, Fig. 3", "background maps of the segmentor whose maximum competes with lesion"
    )
    self_attention: Literal["none", "bottleneck_S", "bottleneck_GS"] = ours(
        "none", "Sec. 3.2 names it in one word", "attention at the lowest resolution, and whose"
    )
    seg_input: Literal["dwi", "dwi+ctp"] = stated(
        "dwi", "Sec. 1, Fig. 1", "what the segmentor sees: the generated DWI, or the inputs too"
    )
    seg_detach: bool = inferred(
        False, "Eq. 6: one loss for both", "keep the segmentation loss away from the generator"
    )
    seg_mix_real: bool = ours(
        False, "not mentioned", "train the segmentor on each slice's real DWI too"
    )

    # Discriminator
    disc_widths: Widths = ours(
        (32, 64, 128, 256, 1), "five convolutions are stated, Sec. 2.2, their widths are not",
        "feature maps of its convolutions",
    )  # fmt: skip
    disc_last: Literal["raw", "gn_relu_linear"] = ours(
        "raw", "Sec. 2.2: all five are normalised; over one map its mean would then be constant",
        "its end: a plain convolution, or a normalised one and a linear layer",
    )  # fmt: skip
    disc_norm: Literal["gn", "bn", "in"] = stated(
        "gn", "Sec. 2.2", "normalisation in the discriminator, at every stage"
    )
    disc_pool: Literal["mean", "none"] = stated(
        "mean", "Sec. 2.2: average pooling in the end", "score of an image, or of each patch of it"
    )
    disc_cond: bool = stated(
        False, "Abstract, Sec. 1: it judges its input DWI", "show it the inputs beside the DWI"
    )

    # Losses
    omega: tuple[NonNegativeFloat, NonNegativeFloat, NonNegativeFloat] = stated(
        (0.002, 0.5, 1.0), "Sec. 3.1", "weights of reconstruction, adversary and segmentation"
    )
    gloss_scale: PositiveFloat = inferred(
        65025.0, "a DWI of 0 to 255; from 0 to 1 the weight would be no weight at all",
        "factor on the squared error of a DWI from 0 to 1",
    )  # fmt: skip
    adversarial: Literal["lsgan", "log"] = stated(
        "lsgan", "Sec. 2.3, Eqs. 2, 3", "adversarial loss"
    )
    seg_loss: Literal["ce_log_gdc", "literal", "bce_log_dice", "ce", "dice", "gdl"] = inferred(
        "ce_log_gdc", "Eq. 5 with the coefficient that its source has; as printed it is minimal "
        "without any overlap", "segmentation loss",
    )  # fmt: skip
    gdc_power: NonNegativeFloat = inferred(
        2.0, "Sec. 2.3 cites Sudre et al.", "class weights 1 / n ** power"
    )
    gdc_empty: Literal["largest", "ignore"] = ours(
        "largest", "not stated; the weight is infinite", "weight of a class that a batch lacks"
    )
    ce_weight: tuple[PositiveFloat, PositiveFloat] = inferred(
        (1.0, 1.0), "Eq. 5; the abstract says weighted, without weights",
        "weights of background and lesion in the cross-entropy",
    )  # fmt: skip
    ce_balanced: bool = inferred(
        False, "Eq. 5; the abstract says weighted", "weigh both classes of a batch alike instead"
    )

    # Optimisation
    optimizer_lr: PositiveFloat = stated(1e-4, "Sec. 3.1", "learning rate at first")
    lr_milestones: tuple[PositiveInt, ...] = stated(
        (100, 300, 500), "Sec. 3.1", "epochs from which it is halved"
    )
    rmsprop_alpha: OpenShare = inferred(
        0.9, "Sec. 3.1: RMS optimizer, gamma 0.9", "decay of the mean square of gradients"
    )
    alternate: Literal["batch", "epoch"] = inferred(
        "batch", "Sec. 3.1: first the discriminator, alternately", "when the trained side changes"
    )
    epochs: PositiveInt = inferred(
        700, "Sec. 3.1: in total, not said for which network", "passes over the training slices"
    )
    batch: PositiveInt = stated(6, "Sec. 3.1", "slices per step")
    select: Literal["last", "dice"] = ours(
        "last", "not stated; the best on a fold would be chosen on what is reported",
        "weights that are kept: last, or best Dice in validation",
    )  # fmt: skip
    validate_every: PositiveInt = ours(
        1, "Fig. 7 has a curve by epoch", "epochs between validations"
    )
    precision: Literal["bf16-mixed", "32-true"] = ours(
        "bf16-mixed", "speed", "arithmetic of training and inference"
    )

    def __post_init__(self) -> None:
        if self.window_px > self.matrix_px:
            raise UsageError(
                f"window_px {self.window_px} of slices of {self.matrix_px} px",
                "a window of at most matrix_px",
                "make the window smaller or the matrix larger",
            )
