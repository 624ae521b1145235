"""Where to cut training patches: drawn by index arithmetic on a store, a batch at a time."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from strokerepro.errors import InputError, UsageError
from strokerepro.store import Store

SamplingKind = Literal["pixel", "lesion", "subject", "slice"]


class PatchSampler:
    """Draws the corners of training windows from a store.

    A *patch* is what the network sees; the *window* around it is what is cut from the store, and
    is larger when the patch will be rotated. All state is the generator's, so a run continues
    identically once the generator's state is restored. A generator on the CPU gives the same
    corners whatever the device of the store.

    Parameters
    ----------
    store
        The training cases.
    kind
        ``"pixel"``: uniform over all lesion pixels, so a lesion of 20 px is drawn 20 times as
        often as one of 1 px (Chen et al. 2017, Sec. 4.2). ``"lesion"``: uniform over 2D lesions,
        then over their pixels. ``"subject"``: uniform over patients with a lesion, then over
        their lesion pixels. ``"slice"``: the whole slice, centred, uniform over slices with a
        lesion.
    patch_px
        Side of the patch. The drawn pixel lands at a uniformly random place in it.
    window_px
        Side of the window; the patch is its central part (``augment.window_px``).
    negative_fraction
        Share of each batch drawn uniformly from foreground pixels outside lesions (for
        ``"slice"``: from slices with foreground and no lesion). Where the share of a batch is no
        whole number, it is rounded up or down at random so that it holds on average.
    generator
        Source of all randomness.

    Raises
    ------
    UsageError
        An unknown kind, or sizes or a fraction that make no sense.
    InputError
        A store without lesions, or without anything to draw negatives from.
    """

    def __init__(
        self,
        store: Store,
        kind: SamplingKind,
        patch_px: int,
        window_px: int,
        negative_fraction: float,
        generator: torch.Generator,
    ) -> None:
        if kind not in get_args(SamplingKind):
            raise UsageError.unknown("sampler", kind, get_args(SamplingKind))
        _check_sizes(store, kind, patch_px, window_px)
        if not 0 <= negative_fraction <= 1:
            raise UsageError(
                f"negative_fraction={negative_fraction}", "0 to 1", "give a share, not a percentage"
            )
        if len(store.lesions.pixels) == 0:
            raise InputError(
                f"{len(store.case_ids)} cases without a single lesion pixel",
                "at least one lesion to draw patches from",
                "check the masks and the training split",
            )
        self.kind, self.patch_px, self.window_px = kind, patch_px, window_px
        self.negative_fraction, self.generator = negative_fraction, generator
        device = generator.device
        positives, run_start = _positive_positions(store, kind)
        self._positives, self._run_start = positives.to(device), run_start.to(device)
        self._negatives = positives.new_empty(0, 3)
        if negative_fraction > 0:
            self._negatives = _negative_positions(store, kind).to(device)

    def corners(self, batch: int, angle_rad: Tensor | None = None) -> Tensor:
        """Draw `batch` windows.

        Parameters
        ----------
        batch
            Number of windows.
        angle_rad
            ``(B,)`` rotation that ``augment.apply_flip_rotation`` will apply. With it the drawn
            pixel is placed uniformly in the patch *after* the rotation (to the rounding of half
            a pixel); without it, uniformly in the central part of the window, from which a
            rotation by any angle turns 12 % of the pixels out of the patch.

        Returns
        -------
        Tensor
            ``(B, 3)`` int64 ``[slice, y, x]`` of the first pixel, for ``Store.window``.
        """
        pixels = self._draw_positives(batch)
        if self.negative_fraction > 0:
            negatives = self._negatives[self._below(len(self._negatives), batch)]
            pixels = torch.where(self._draw_is_negative(batch)[:, None], negatives, pixels)
        if self.kind == "slice":
            place = torch.full_like(pixels[:, 1:], self.window_px // 2)
        else:
            place = self._draw_place(batch, angle_rad)
        pixels[:, 1:] -= place
        return pixels

    def _below(self, count: int, batch: int) -> Tensor:
        return torch.randint(
            count, (batch,), generator=self.generator, device=self.generator.device
        )

    def _uniform(self, *shape: int) -> Tensor:
        return torch.rand(
            *shape, dtype=torch.float64, generator=self.generator, device=self.generator.device
        )

    def _draw_positives(self, batch: int) -> Tensor:
        """``(B, 3)``: a run uniformly, then one of its positions uniformly."""
        run = self._below(len(self._run_start) - 1, batch)
        start = self._run_start[run]
        count = self._run_start[run + 1] - start
        # The product can round up to `count` itself; the minimum keeps it inside the run.
        within = (self._uniform(batch) * count).long().minimum(count - 1)
        return self._positives[start + within]

    def _draw_is_negative(self, batch: int) -> Tensor:
        """``(B,)`` bool, spread evenly; the count is the share rounded, right on average."""
        steps = torch.arange(batch + 1, dtype=torch.float64, device=self.generator.device)
        return (steps * self.negative_fraction + self._uniform(1)).floor().diff() > 0

    def _draw_place(self, batch: int, angle_rad: Tensor | None) -> Tensor:
        """``(B, 2)`` int64 ``[y, x]`` of the drawn pixel in its window."""
        centred = self._below(self.patch_px, 2 * batch).view(batch, 2) - (self.patch_px - 1) / 2
        if angle_rad is not None:
            y, x = centred.unbind(1)
            angle = angle_rad.to(centred)
            cos, sin = angle.cos(), angle.sin()
            centred = torch.stack([sin * x + cos * y, cos * x - sin * y], dim=1)
        return (centred + (self.window_px - 1) / 2).round().long()


def _check_sizes(store: Store, kind: str, patch_px: int, window_px: int) -> None:
    if not 0 < patch_px <= window_px or (window_px - patch_px) % 2:
        raise UsageError(
            f"patch_px={patch_px} in window_px={window_px}",
            "a window at least as large as the patch, both even or both odd",
            "use augment.window_px(patch_px, max_deg)",
        )
    largest = int(store.slice_size_px.max())
    if kind == "slice" and patch_px < largest:
        raise UsageError(
            f"patch_px={patch_px} for whole slices of up to {largest} px",
            f"at least {largest}",
            "enlarge the patch, crop the slices, or sample by pixel",
        )


def _positive_positions(store: Store, kind: str) -> tuple[Tensor, Tensor]:
    """Positions ``(N, 3)`` and the boundaries of the runs that are equally likely."""
    lesions = store.lesions
    if kind == "slice":
        centres = _slice_centres(store, lesions.pixels[lesions.slice_start[:-1], 0])
        return centres, torch.arange(len(centres) + 1, device=centres.device)
    starts = {
        "pixel": torch.arange(len(lesions.pixels) + 1, device=lesions.pixels.device),
        "lesion": lesions.lesion_start,
        "subject": lesions.patient_start,
    }
    return lesions.pixels, starts[kind]


def _negative_positions(store: Store, kind: str) -> Tensor:
    positions = store.background_positions()
    if kind == "slice":
        free = torch.zeros(len(store.labels), dtype=torch.bool, device=store.device)
        free[positions[:, 0]] = True
        free[store.lesions.pixels[:, 0]] = False
        positions = _slice_centres(store, free.nonzero()[:, 0])
    if len(positions) == 0:
        raise InputError(
            "no foreground without lesion",
            "something to draw negatives from",
            "set negative_fraction=0, or check that the background of the images is exactly 0",
        )
    return positions


def _slice_centres(store: Store, slices: Tensor) -> Tensor:
    return torch.cat([slices[:, None], store.slice_size_px[slices] // 2], dim=1)
