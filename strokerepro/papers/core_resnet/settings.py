"""Every hyper-parameter of the residual encoder-decoder with its provenance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from strokerepro.papers.base import inferred, ours, released, stated

Share = Annotated[float, Field(ge=0, le=1)]
OpenShare = Annotated[float, Field(ge=0, lt=1)]
Thresholds = Annotated[tuple[Share, ...], Field(min_length=1)]
Sizes = Annotated[tuple[NonNegativeFloat, ...], Field(min_length=1)]


@dataclass(frozen=True)
class CoreResNetSettings:
    """Settings of Clerigues et al. (2019), doi:10.1016/j.compbiomed.2019.103487."""

    # Data
    symmetry: Literal["none", "flip", "rigid", "affine"] = stated(
        "affine", "Sec. 2.1.1", "mirrored copies of all channels, and how they are aligned"
    )
    register_on: Literal["stripped", "unstripped"] = inferred(
        "stripped", "Sec. 2.1.1: order of the text; the release registers the unstripped CT",
        "the CT that the mirrored one is aligned to",
    )  # fmt: skip
    normalise: Literal["zscore_brain", "zscore_volume"] = ours(
        "zscore_brain", "not stated; the release takes the whole volume", "intensity statistics"
    )
    matrix_divisor: PositiveInt = ours(
        1, "profiles for a CPU use images of half the matrix", "factor by which pixels are larger; "
        "patch and step are divided by it",
    )  # fmt: skip
    val_fraction: OpenShare = ours(
        0.25, "share of the release's single split", "training patients to validate on, if inner"
    )
    validate_on: Literal["outer", "inner"] = inferred(
        "outer", "Sec. 4.1: five folds of training and validation images, no third set",
        "stop and tune on the reported cases themselves, or on patients held out from training",
    )  # fmt: skip

    # Patches
    patch_px: PositiveInt = stated(64, "Sec. 3.1", "side of a patch, pixels of a 256 matrix")
    patches_per_case: PositiveInt = stated(
        4000, "Sec. 3.3: 376,000 over 94 cases", "training patches per case and epoch"
    )
    val_patches_per_case: PositiveInt = inferred(
        4000, "Sec. 3.3: 376,000 over 94 cases, of which a fold validates on 19",
        "validation patches per case",
    )  # fmt: skip
    sampler: Literal["balanced", "uniform"] = stated(
        "balanced", "Sec. 3.1", "half of the patches at lesion voxels, or all over the brain"
    )
    val_sampler: Literal["balanced", "uniform"] = ours(
        "balanced", "not stated; a fixed draw keeps the stopping metric comparable",
        "sampler of the validation patches",
    )  # fmt: skip
    selection: Literal["regular", "random"] = stated(
        "regular", "Sec. 3.1: regular spatial steps", "which voxels of a list become centres"
    )
    offset: bool = stated(True, "Sec. 3.1", "random shift of lesion patches by up to half a patch")
    negatives: Literal["healthy", "any_brain"] = stated(
        "healthy", "Sec. 3.1", "where the other half of the patches is centred"
    )
    elastic: bool = stated(True, "Sec. 3.1", "elastic deformation of repeated lesion patches")
    elastic_alpha: NonNegativeFloat = stated(2.5, "Sec. 3.1", "strength of the deformation")
    elastic_sigma: PositiveFloat = stated(0.12, "Sec. 3.1, there gamma", "its smoothness")
    elastic_units: Literal["relative", "pixel"] = inferred(
        "relative", "in pixels the stated numbers give white jitter that folds",
        "unit of the two: patch widths or pixels",
    )  # fmt: skip

    # Network
    base_filters: PositiveInt = stated(8, "Sec. 3.2", "feature maps of the first level")
    levels: PositiveInt = stated(5, "Sec. 3.2", "resolution steps")
    act: Literal["prelu", "relu"] = released("prelu", "SUNet.py", "activation")
    skip: Literal["sum", "concat"] = stated(
        "sum", "Sec. 3.2: residual connections", "how encoder maps join the decoder"
    )
    down: Literal["dual", "strided"] = released(
        "dual", "SUNet.py; keeps 75 % of the parameters in the encoder",
        "max-pooling beside a strided convolution, or that convolution alone",
    )  # fmt: skip
    residual: bool = stated(True, "Sec. 3.2", "identity around the convolutions of a block")
    decoder_convs: Annotated[int, Field(ge=1, le=2)] = stated(
        1, "Sec. 3.2", "convolutions of a decoder block; an encoder block has two"
    )
    dropout_train: OpenShare = released(
        0.2, "SUNet.py; Sec. 3 says that there is dropout", "channel dropout in encoder levels 3-5"
    )
    bn_momentum: Share = released(0.01, "SUNet.py", "update rate of the running statistics")

    # Optimisation
    loss: Literal["gdl+ce", "ce", "gdl", "focal"] = stated(
        "gdl+ce", "Sec. 3.1, 3.3; Sec. 5 speaks of the focal loss", "training loss"
    )
    gdl_power: Annotated[int, Field(ge=0, le=2)] = inferred(
        2, "Sec. 3.1 cites Sudre et al.; the release has 1", "class weights 1 / n ** power"
    )
    optimizer_lr: PositiveFloat = inferred(
        1.0, "Sec. 3.3 names Adadelta; Zeiler's update has no rate", "factor on Adadelta's update"
    )
    rho: OpenShare = released(0.95, "main.py", "Adadelta's decay")
    batch: PositiveInt = stated(64, "Sec. 3.3", "patches per step")
    max_epochs: PositiveInt = stated(100, "Sec. 3.3", "epochs at most")
    patience: PositiveInt = stated(10, "Sec. 3.3", "epochs without improvement before stopping")
    min_delta: NonNegativeFloat = ours(
        0.0, "not stated; the release has 1e-4", "least improvement that counts"
    )
    stop_metric: Literal["l1_error", "loss", "dice", "soft_dice"] = stated(
        "l1_error", "Sec. 3.3, 4.1, Fig. 3", "validation metric that chooses the weights"
    )
    precision: Literal["bf16-mixed", "32-true"] = ours(
        "bf16-mixed", "speed", "arithmetic of training and inference"
    )

    # Inference
    step_px: PositiveInt = ours(
        8, "not stated; the release has 3", "distance of neighbouring patches, as patch_px"
    )
    uf_passes: Annotated[int, Field(ge=0)] = stated(
        3, "Sec. 3.3", "averaged passes with dropout, 0 for the plain network alone"
    )
    uf_rate: OpenShare = stated(0.1, "Sec. 3.3", "dropout rate at prediction")
    uf_kind: Literal["element", "channel", "alpha"] = stated(
        "element", "Sec. 3.3: voxel-wise; the release has alpha dropout", "kind of that dropout"
    )
    uf_levels: Annotated[int, Field(ge=1, le=5)] = released(
        3, "SUNet.py; Sec. 3.3 says the deepest steps", "deepest levels that have that dropout"
    )
    variants: tuple[str, ...] = ours(
        ("uf_rate20", "uf_rate50", "uf_passes1", "uf_passes10", "step16", "step32"),
        "Sec. 5 speaks of larger rates, Sec. 3.3 of overlap",
        "predictions that are scored beside the two outputs, without further training",
    )

    # Operating point
    thresholds: Thresholds = stated(
        (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9), "Sec. 3.3", "thresholds T that are tried"
    )
    min_sizes: Sizes = inferred(
        (10.0, 100.0, 200.0, 300.0, 400.0, 500.0), "Sec. 3.3: six values from 10 to 500",
        "smallest components S_min that are tried",
    )  # fmt: skip
    min_size_unit: Literal["voxel", "ml"] = stated("voxel", "Sec. 3.3", "unit of S_min")
    select_point: Literal["ranksum", "dice", "hd", "zscore"] = inferred(
        "ranksum", "Sec. 3.3: Dice and Hausdorff distance jointly", "rule that chooses T and S_min"
    )
    ensemble_threshold: Share = stated(0.2, "Sec. 4.2", "T of the ensemble of all folds")
    ensemble_min_size: NonNegativeFloat = stated(200.0, "Sec. 4.2", "S_min of the ensemble")
    connectivity: Literal["3d6", "3d26", "2d8"] = ours(
        "3d6", "not stated; the release's default", "what is one component"
    )
