"""Generator, discriminator and segmentor of some settings, and what flows between them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from strokerepro.networks import build_network
from strokerepro.networks.ctp_gan import CtpGanUNet
from strokerepro.networks.ctp_gan_discriminator import PatchDiscriminator
from strokerepro.papers.ctp_gan.settings import CtpGanSettings
from strokerepro.papers.shared import on_device

SEGMENTOR, GENERATOR, DISCRIMINATOR = "segmentor", "generator", "discriminator"


@dataclass(frozen=True)
class Networks:
    """The networks of one pipeline; without a generator the segmentor sees the images themselves.

    Images ``(B, C, Y, X)`` hold the input channels and, last, the DWI where a case has one.
    """

    settings: CtpGanSettings
    segmentor: CtpGanUNet
    generator: CtpGanUNet | None = None
    discriminator: PatchDiscriminator | None = None

    @property
    def modules(self) -> Mapping[str, nn.Module]:
        """Networks that there are, by name."""
        named = {
            SEGMENTOR: self.segmentor,
            GENERATOR: self.generator,
            DISCRIMINATOR: self.discriminator,
        }
        return {name: module for name, module in named.items() if module is not None}

    def trained_together(self) -> Iterator[nn.Parameter]:
        """Weights of generator and segmentor, which one optimiser updates (Sec. 3.1)."""
        for name, module in self.modules.items():
            if name != DISCRIMINATOR:
                yield from module.parameters()

    def inputs(self, images: Tensor) -> Tensor:
        """Input channels ``(B, C, Y, X)`` of images that may hold the DWI too."""
        return _channels(images, slice(0, len(self.settings.inputs)))

    def real_dwi(self, images: Tensor) -> Tensor:
        """DWI ``(B, 1, Y, X)`` of images that hold it."""
        return _channels(images, slice(images.shape[1] - 1, images.shape[1]))

    def generate(self, inputs: Tensor) -> Tensor:
        """DWI ``(B, 1, Y, X)`` of input channels."""
        assert self.generator is not None  # only asked of a pipeline that has one
        generated: Tensor = self.generator(inputs)
        return generated

    def judge(self, dwi: Tensor, inputs: Tensor) -> Tensor:
        """Scores of the discriminator for DWI ``(B, 1, Y, X)``, in float32."""
        assert self.discriminator is not None  # see `generate`
        seen = torch.cat([dwi, inputs], dim=1) if self.settings.disc_cond else dwi
        scores: Tensor = self.discriminator(seen)
        return scores.float()

    def segment(self, dwi: Tensor, inputs: Tensor) -> Tensor:
        """Logits ``(B, 2, Y, X)`` for DWI ``(B, 1, Y, X)``, generated or real."""
        seen = torch.cat([dwi, inputs], dim=1) if self.settings.seg_input == "dwi+ctp" else dwi
        logits: Tensor = self.segmentor(seen)
        return logits

    def outputs(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Logits ``(B, 2, Y, X)`` of the whole pipeline and, with a generator, the DWI it made."""
        if self.generator is None:
            return self.segmentor(images), None
        inputs = self.inputs(images)
        generated = self.generate(inputs)
        return self.segment(generated, inputs), generated

    def to_device(self, fabric: Fabric) -> Networks:
        """The same networks on the device, in the memory format that is fast there."""
        moved = {name: on_device(module, fabric) for name, module in self.modules.items()}
        return Networks(self.settings, **moved)  # type: ignore[arg-type]

    def state(self) -> dict[str, Any]:
        """Weights of all networks."""
        return {name: module.state_dict() for name, module in self.modules.items()}


def build(settings: CtpGanSettings, generator: torch.Generator | None = None) -> Networks:
    """Build the networks of `settings`.

    Parameters
    ----------
    settings
        All numbers.
    generator
        Source of the initial weights; None: PyTorch's global one.
    """
    channels = len(settings.inputs)
    segmentor = _unet(settings, _seen_by_segmentor(settings), "S", generator)
    if settings.pipeline != "gan":
        return Networks(settings, segmentor)
    discriminator = build_network(
        "ctp_gan.discriminator",
        in_channels=1 + (channels if settings.disc_cond else 0),
        widths=settings.disc_widths,
        last=settings.disc_last,
        norm=settings.disc_norm,
        gn_channels_per_group=settings.gn_channels_per_group,
        pool=settings.disc_pool,
        generator=generator,
    )
    assert isinstance(discriminator, PatchDiscriminator)
    return Networks(settings, segmentor, _unet(settings, channels, "G", generator), discriminator)


def _seen_by_segmentor(settings: CtpGanSettings) -> int:
    """Channels that the segmentor sees."""
    channels = len(settings.inputs)
    if settings.pipeline == "gan":
        return 1 + (channels if settings.seg_input == "dwi+ctp" else 0)
    return channels if settings.pipeline == "direct" else 1


def _unet(
    settings: CtpGanSettings, in_channels: int, role: str, generator: torch.Generator | None
) -> CtpGanUNet:
    """U-Net of the generator (``"G"``) or of the segmentor (``"S"``)."""
    head = {"background_maps": settings.background_maps} if role == "S" else {}
    attends = role in settings.self_attention.removeprefix("bottleneck_")
    network = build_network(
        f"ctp_gan.{SEGMENTOR if role == 'S' else GENERATOR}",
        in_channels=in_channels,
        base=settings.base,
        norm=settings.norm,
        gn_channels_per_group=settings.gn_channels_per_group,
        **head,
        self_attention="bottleneck" if attends else "none",
        generator=generator,
    )
    assert isinstance(network, CtpGanUNet)
    return network


def _channels(images: Tensor, chosen: slice) -> Tensor:
    return images[:, chosen].contiguous(memory_format=torch.channels_last)
