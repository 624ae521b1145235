"""MUSCLE Net, the candidate classifier of Chen et al. 2017 (doi:10.1016/j.nicl.2017.06.016)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from strokerepro.errors import UsageError
from strokerepro.networks.batch_norm import BatchNorm
from strokerepro.networks.blocks import conv_stack, initialise_caffe_xavier, stack_widths
from strokerepro.networks.edd_muscle import CLASSES


class MuscleNet(nn.Module):
    """Small VGG that tells real from false lesion candidates (Sec. 3.2, Fig. 5).

    Two 3x3 convolutions, 2x2 max pooling, two 3x3 convolutions, three fully connected layers.
    The paper's sentences on batch normalisation and learning rate do not fit the released
    configuration, which has dropout and no normalisation; it is the default here.

    Parameters
    ----------
    conv_widths
        Channels of the four convolutions.
    fc_widths
        Units of the two hidden fully connected layers.
    width_scale
        Factor on all widths.
    bn
        Normalise after each convolution.
    bn_affine, bn_momentum
        See `DeconvNet`; used only with `bn`.
    dropout
        Probability of dropping a unit after each hidden fully connected layer.
    in_channels
        Image scales plus one for the EDD probability.
    side_px
        Side of the patches, a multiple of 2.
    generator
        Source of the initial weights; None: PyTorch's global one.

    Raises
    ------
    UsageError
        An impossible combination of values.
    """

    def __init__(
        self,
        *,
        conv_widths: Sequence[int] = (32, 32, 64, 64),
        fc_widths: Sequence[int] = (128, 64),
        width_scale: float = 1.0,
        bn: bool = False,
        bn_affine: bool = False,
        bn_momentum: float = 0.001,
        dropout: float = 0.5,
        in_channels: int = 4,
        side_px: int = 16,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if len(conv_widths) != 4 or len(fc_widths) != 2 or side_px % 2 or not 0 <= dropout < 1:
            raise UsageError(
                f"conv_widths {tuple(conv_widths)}, fc_widths {tuple(fc_widths)}, "
                f"side_px {side_px}, dropout {dropout}",
                "four and two widths, an even side and a probability below 1",
                "leave out what you need not change",
            )
        widths = stack_widths([1] * 6, [*conv_widths, *fc_widths], width_scale)
        norm = BatchNorm(bn_affine, bn_momentum) if bn else None
        convolutions = conv_stack([in_channels, *widths[:4]], norm)
        convolutions.insert(2, nn.MaxPool2d(2))
        units = [widths[3] * (side_px // 2) ** 2, *widths[4:]]
        self.features = nn.Sequential(*convolutions)
        self.classifier = nn.Sequential(
            *(
                nn.Sequential(nn.Linear(a, b), nn.ReLU(), nn.Dropout(dropout))
                for a, b in pairwise(units)
            ),
            nn.Linear(units[-1], CLASSES),
        )
        initialise_caffe_xavier(self, generator)

    def forward(self, patches: Tensor) -> Tensor:
        """Classify candidates.

        Parameters
        ----------
        patches
            (B, C, side_px, side_px): the scales of the image, then the EDD probability.

        Returns
        -------
        Tensor
            Logits (B, 2); class 1 is a real lesion.
        """
        logits: Tensor = self.classifier(self.features(patches).flatten(1))
        return logits


NETWORKS: dict[str, Callable[..., nn.Module]] = {"edd_muscle.muscle": MuscleNet}
