"""Training patches and their rotation: the resident store against MONAI's tuned transforms.

Run with ``OMP_NUM_THREADS=1 python benchmarks/patches.py [rounds]``. Data are synthetic, of real
size; that both sides cut and turn alike is checked in the same run, before the timing.
"""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import torch
from _measure import Comparison, compare

from strokerepro.augment import FlipRotation, apply_flip_rotation
from strokerepro.sampling import BalancedPatches, PatchSampler
from strokerepro.store import Store

try:
    import monai
    from monai.data import set_track_meta
    from monai.networks.layers import AffineTransform
    from monai.transforms import FgBgToIndicesd, RandAffined, RandCropByPosNegLabeld
except ImportError as error:
    raise SystemExit(f"{error}; fix: pip install 'strokerepro[bench]'") from error

PATCH_PX = 64
KEYS = ("image", "label")


def make_cases(count: int, channels: int, depth: int, size_px: int) -> list[SimpleNamespace]:
    """Cases of noise in an elliptic brain on exactly zero, with one ball-shaped lesion each."""
    rng = np.random.default_rng(0)
    z, y, x = np.indices((depth, size_px, size_px))
    middle = size_px / 2
    brain = ((y - middle) / 0.39) ** 2 + ((x - middle) / 0.31) ** 2 < size_px**2
    cases = []
    for number in range(count):
        centre_y, centre_x = rng.uniform(0.35 * size_px, 0.65 * size_px, size=2)
        ball = (4 * (z - depth / 2)) ** 2 + (y - centre_y) ** 2 + (x - centre_x) ** 2 < 200
        image = rng.normal(size=(channels, *ball.shape)).astype(np.float32) * brain
        name = f"case-{number}"
        cases.append(
            SimpleNamespace(
                image=image,
                label=ball.astype(np.uint8),
                foreground=None,
                case_id=name,
                patient_id=name,
            )
        )
    return cases


def our_samplers(
    store: Store, batch: int, negative_fraction: float
) -> dict[str, Callable[[], torch.Tensor]]:
    """Draw the corners of a batch, by the name of the sampler."""
    generator = torch.Generator().manual_seed(0)
    drawn = PatchSampler(store, "pixel", PATCH_PX, PATCH_PX, negative_fraction, generator)
    samplers = {"PatchSampler": lambda: drawn.corners(batch)}
    if negative_fraction == 0.5:
        balanced = BalancedPatches(store, patch_px=PATCH_PX, per_case=4000, seed=0)
        steps = itertools.count()
        samplers["BalancedPatches"] = lambda: balanced.batch(next(steps), batch).corners
    return samplers


def compare_patches(
    cases: list[SimpleNamespace], batch: int, negative_fraction: float, rounds: int
) -> list[Comparison]:
    """Time a batch of patches around lesion pixels, against 1 and 4 patches a visited case."""
    store = Store.from_cases(cases, "cpu")
    indices = FgBgToIndicesd(keys="label", image_key="image", image_threshold=0)
    cached = [  # tensors in MONAI's (C, Y, X, Z), with the candidate positions cached as well
        indices(
            {
                "image": torch.from_numpy(np.moveaxis(case.image, 1, -1).copy()),
                "label": torch.from_numpy(np.moveaxis(case.label, 0, -1)[None].copy()),
            }
        )
        for case in cases
    ]
    channels, depth, size_px, _ = cases[0].image.shape
    results = []
    for sampler, draw in our_samplers(store, batch, negative_fraction).items():
        work = f"{sampler} {batch}x64x64x{channels}, {len(cases)}x{size_px}x{size_px}x{depth}"
        for per_case in (1, 4):
            crop = RandCropByPosNegLabeld(
                KEYS,
                label_key="label",
                spatial_size=(PATCH_PX, PATCH_PX, 1),
                pos=1 - negative_fraction,
                neg=negative_fraction,
                num_samples=per_case,
                fg_indices_key="label_fg_indices",
                bg_indices_key="label_bg_indices",
            ).set_random_state(0)
            check_same_cut(store, cached, crop, depth)
            choice = np.random.default_rng(0)

            def ours(draw=draw) -> tuple[torch.Tensor, ...]:
                return store.window(draw(), PATCH_PX)

            def peer(crop=crop, per_case=per_case, choice=choice) -> tuple[torch.Tensor, ...]:
                visited = choice.integers(len(cached), size=batch // per_case)
                patches = [patch for number in visited for patch in crop(cached[number])]
                return tuple(torch.stack([patch[key] for patch in patches])[..., 0] for key in KEYS)

            name = f"RandCropByPosNegLabeld, {per_case} a case"
            results.append(compare(work, ours, peer, peer_name=name, rounds=rounds))
    return results


def check_same_cut(
    store: Store, cached: list[dict], crop: RandCropByPosNegLabeld, depth: int
) -> None:
    """Cut at the centres that MONAI has drawn and require bit-identical patches."""
    for number, case in enumerate(cached):
        patches = crop(case)
        corners = [
            [number * depth + z, y - PATCH_PX // 2, x - PATCH_PX // 2]
            for y, x, z in crop.cropper.centers
        ]
        images, labels = store.window(torch.tensor(corners), PATCH_PX)
        require(torch.equal(images, torch.stack([p["image"] for p in patches])[..., 0]))
        require(torch.equal(labels, torch.stack([p["label"] for p in patches])[:, 0, ..., 0]))


def compare_rotation(batch: int, channels: int, rounds: int) -> list[Comparison]:
    """Time a rotation of image and mask, against MONAI sample by sample and batched."""
    generator = torch.Generator().manual_seed(0)
    shape = (batch, channels, PATCH_PX, PATCH_PX)
    images = torch.randn(shape, generator=generator)
    labels = (torch.rand(batch, PATCH_PX, PATCH_PX, generator=generator) > 0.9).to(torch.uint8)
    samples = [
        {"image": image, "label": label[None]} for image, label in zip(images, labels, strict=True)
    ]
    rotate = RandAffined(
        KEYS,
        prob=1,
        rotate_range=math.pi,
        mode=("bilinear", "nearest"),
        padding_mode="zeros",
        spatial_size=(PATCH_PX, PATCH_PX),
        cache_grid=True,
    ).set_random_state(0)
    layers = [
        AffineTransform(mode=mode, normalized=True, align_corners=False, reverse_indexing=False)
        for mode in ("bilinear", "nearest")
    ]
    flip = torch.zeros(batch, dtype=torch.bool)

    def by_sample() -> tuple[torch.Tensor, ...]:
        turned = [rotate(sample) for sample in samples]
        return tuple(torch.stack([sample[key] for sample in turned]) for key in KEYS)

    def batched(angle: torch.Tensor) -> tuple[torch.Tensor, ...]:
        cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
        theta = torch.stack([cos, -sin, zero, sin, cos, zero], dim=1).view(-1, 2, 3)
        return layers[0](images, theta), layers[1](labels[:, None].float(), theta)

    def ours(angle: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return apply_flip_rotation(images, labels, FlipRotation(flip, angle), PATCH_PX)

    def draw() -> torch.Tensor:
        return (2 * torch.rand(batch, generator=generator) - 1) * math.pi

    angle = draw()
    require_close(ours(angle), batched(angle))
    for sample, image, label in zip(samples, images, labels, strict=True):
        turned = rotate(sample)
        matrix = rotate.rand_affine.rand_affine_grid.get_transformation_matrix()  # in (y, x)
        same = FlipRotation(flip[:1], torch.atan2(matrix[:1, 1], matrix[:1, 0]).float())
        mine = apply_flip_rotation(image[None], label[None], same, PATCH_PX)
        require_close(mine, (turned["image"][None], turned["label"][None]))
    work = f"rotate {batch}x{channels}x64x64 and masks"
    return [
        compare(
            work,
            lambda: ours(draw()),
            by_sample,
            peer_name="RandAffined, cached grid",
            rounds=rounds,
        ),
        compare(
            work,
            lambda: ours(draw()),
            lambda: batched(draw()),
            peer_name="AffineTransform, batched",
            rounds=rounds,
        ),
    ]


def require_close(mine: tuple[torch.Tensor, ...], theirs: tuple[torch.Tensor, ...]) -> None:
    """Images equal to 1e-3 of a standard deviation, masks but for ties in the rounding."""
    require((mine[0] - theirs[0]).abs().max().item() < 1e-3)
    require((mine[1] != theirs[1][:, 0]).float().mean().item() < 1e-3)


def require(same: bool) -> None:
    """Stop the benchmark when the two sides do not do the same."""
    if not same:
        raise SystemExit("the two sides differ: a ratio would be meaningless")


def main(rounds: int) -> None:
    """Print one line a comparison."""
    set_track_meta(False)
    print(f"torch {torch.__version__}, MONAI {monai.__version__}, one thread, {rounds} rounds ABBA")
    results = compare_patches(make_cases(24, 1, 21, 128), 100, 0.0, rounds)
    results += compare_patches(make_cases(20, 10, 8, 256), 64, 0.5, rounds)
    results += compare_rotation(64, 10, rounds)
    for result in results:
        print(result)


if __name__ == "__main__":
    main(rounds=int(sys.argv[1]) if len(sys.argv) > 1 else 15)
