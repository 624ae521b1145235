"""One update of each side: losses, optimisers and who is trained by what (Sec. 2.3, 3.1)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Optimizer, RMSprop

from strokerepro.losses import AdversarialLoss, LogDiceCE
from strokerepro.papers.ctp_gan.networks import DISCRIMINATOR, Networks
from strokerepro.papers.ctp_gan.settings import CtpGanSettings

#: Name of the optimiser of generator and segmentor.
PIPELINE = "pipeline"
_EPS = 1e-8


def make_optimizers(settings: CtpGanSettings, networks: Networks) -> dict[str, Optimizer]:
    """RMSprop for generator and segmentor together, and one for the discriminator (Sec. 3.1)."""

    def rmsprop(weights: Iterable[nn.Parameter]) -> Optimizer:
        return RMSprop(weights, lr=settings.optimizer_lr, alpha=settings.rmsprop_alpha, eps=_EPS)

    optimizers = {PIPELINE: rmsprop(networks.trained_together())}
    if networks.discriminator is not None:
        optimizers[DISCRIMINATOR] = rmsprop(networks.discriminator.parameters())
    return optimizers


def build_loss(settings: CtpGanSettings) -> LogDiceCE:
    """Build the segmentation loss of `settings` (Eq. 5)."""
    return LogDiceCE(
        settings.seg_loss,
        gdc_power=settings.gdc_power,
        gdc_empty=settings.gdc_empty,
        ce_weight="inverse_frequency" if settings.ce_balanced else settings.ce_weight,
    )


@dataclass(frozen=True)
class Updates:
    """One update of each side: the discriminator's (Eq. 2) first, then the joint one (Eq. 6)."""

    settings: CtpGanSettings
    networks: Networks
    optimizers: Mapping[str, Optimizer]
    fabric: Fabric

    def __call__(self, images: Tensor, labels: Tensor, epoch: int) -> Mapping[str, Tensor]:
        """Update by a batch.

        Parameters
        ----------
        images
            ``(B, C, Y, X)``: inputs and, last, the DWI from 0 to 1.
        labels
            ``(B, Y, X)``.
        epoch
            Which pass over the data, for sides that alternate by epochs.

        Returns
        -------
        dict
            Detached losses and mean scores by name.
        """
        if self.networks.discriminator is None:
            return self._segmentor_alone(images, labels)
        judges = translates = True
        if self.settings.alternate == "epoch":
            judges, translates = epoch % 2 == 0, epoch % 2 == 1
            # Whoever rests keeps the statistics of batch normalisation as well.
            for name, module in self.networks.modules.items():
                module.train(judges if name == DISCRIMINATOR else translates)
        inputs, real = self.networks.inputs(images), self.networks.real_dwi(images)
        with torch.set_grad_enabled(translates), self.fabric.autocast():
            generated = self.networks.generate(inputs)
        with torch.set_grad_enabled(judges):
            values = self._judge(generated.detach(), real, inputs, trains=judges)
        with torch.set_grad_enabled(translates):
            values |= self._translate(generated, real, inputs, labels, trains=translates)
        return values

    def _segmentor_alone(self, images: Tensor, labels: Tensor) -> Mapping[str, Tensor]:
        with self.fabric.autocast():
            logits, _ = self.networks.outputs(images)
        loss = build_loss(self.settings)(logits, labels)
        self._descend(PIPELINE, loss)
        return {"seg": loss.detach()}

    def _judge(
        self, generated: Tensor, real: Tensor, inputs: Tensor, *, trains: bool
    ) -> dict[str, Tensor]:
        """Train the discriminator on real and on generated DWI, which are constants to it."""
        with self.fabric.autocast():
            real_scores = self.networks.judge(real, inputs)
            fake_scores = self.networks.judge(generated, inputs)
        loss = AdversarialLoss(self.settings.adversarial).discriminator(real_scores, fake_scores)
        if trains:
            self._descend(DISCRIMINATOR, loss)
        return {
            "d": loss.detach(),
            "d_score_real": real_scores.detach().mean(),
            "d_score_generated": fake_scores.detach().mean(),
        }

    def _translate(
        self, generated: Tensor, real: Tensor, inputs: Tensor, labels: Tensor, *, trains: bool
    ) -> dict[str, Tensor]:
        """Train generator and segmentor by the sum of three losses (Eq. 6)."""
        settings, discriminator = self.settings, self.networks.discriminator
        assert discriminator is not None  # `__call__` has looked
        discriminator.requires_grad_(False)  # its weights need no gradient here
        shown = generated.detach() if settings.seg_detach else generated
        seen, masks, also = shown, labels, inputs
        if settings.seg_mix_real:
            seen, masks = torch.cat([shown, real.to(shown.dtype)]), torch.cat([labels, labels])
            also = torch.cat([inputs, inputs])
        with self.fabric.autocast():
            scores = self.networks.judge(generated, inputs)
            logits = self.networks.segment(seen, also)
        reconstruction = functional.mse_loss(generated.float(), real)
        adversarial = AdversarialLoss(settings.adversarial).generator(scores)
        segmentation = build_loss(settings)(logits, masks)
        by_image, by_adversary, by_mask = settings.omega
        if trains:
            self._descend(
                PIPELINE,
                by_image * settings.gloss_scale * reconstruction
                + by_adversary * adversarial
                + by_mask * segmentation,
            )
        discriminator.requires_grad_(True)
        return {
            "g_reconstruction": reconstruction.detach(),
            "g_adversarial": adversarial.detach(),
            "seg": segmentation.detach(),
        }

    def _descend(self, name: str, loss: Tensor) -> None:
        optimizer = self.optimizers[name]
        optimizer.zero_grad(set_to_none=True)
        self.fabric.backward(loss)
        optimizer.step()
