"""Noisy passes from one prefix against whole passes; overlapping patches against MONAI.

Run with ``OMP_NUM_THREADS=1 python benchmarks/inference.py [rounds]``. The outputs of both sides
are compared in the same run, before the timing, wherever they are to be equal.
"""

from __future__ import annotations

import copy
import sys
import time
from collections.abc import Callable

import numpy as np
import torch
from _measure import Comparison, compare
from lightning_fabric import Fabric
from torch import Tensor
from torch.nn import functional

from strokerepro.inference import lesion_probability, monte_carlo, predict_patches
from strokerepro.inference.patches import CPU_BATCH
from strokerepro.networks import build_network
from strokerepro.networks import core_resnet as core_resnet_module
from strokerepro.networks.core_resnet import CoreResNet

try:
    import monai
    from monai.data import set_track_meta
    from monai.inferers import sliding_window_inference
except ImportError as error:
    raise SystemExit(f"{error}; fix: pip install 'strokerepro[bench]'") from error

PATCH_PX, STEP_PX, CHANNELS, PASSES = 64, 8, 10, 3
TOLERANCE = 1e-5


def make_network() -> CoreResNet:
    """The paper's network with drawn weights, as it is used for prediction."""
    network = build_network("core_resnet", generator=torch.Generator().manual_seed(0)).eval()
    last: CoreResNet = network.to(memory_format=torch.channels_last)
    return last


@torch.no_grad()
def compare_passes(network: CoreResNet, batch: int, rounds: int) -> list[Comparison]:
    """Time three noisy passes from one prefix against three whole ones."""
    image = torch.randn(batch, CHANNELS, PATCH_PX, PATCH_PX)
    image = image.to(memory_format=torch.channels_last)

    def seeded() -> torch.Generator:
        return torch.Generator().manual_seed(1)

    def ours() -> Tensor:
        return monte_carlo(network, network.prefix(image), PASSES, generator=seeded())

    def whole() -> Tensor:
        noise = seeded()
        passes = [network.suffix(network.prefix(image), True, noise) for _ in range(PASSES)]
        return torch.stack([lesion_probability(logits) for logits in passes]).mean(0)

    def usual() -> Tensor:
        # The noise that nn.Dropout draws: other numbers, so the outputs cannot be compared.
        original = core_resnet_module.prediction_dropout
        core_resnet_module.prediction_dropout = _torch_dropout
        try:
            return whole()
        finally:
            core_resnet_module.prediction_dropout = original

    require_close(ours(), whole())
    work = f"{PASSES} noisy passes, {batch}x{CHANNELS}x{PATCH_PX}x{PATCH_PX}"
    names = {"whole passes, same noise": whole, "whole passes, nn.Dropout": usual}
    return [
        compare(work, ours, peer, peer_name=name, rounds=rounds, repeats=1)
        for name, peer in names.items()
    ]


def _torch_dropout(x: Tensor, rate: float, **_: object) -> Tensor:
    return functional.dropout(x, rate, training=True)


@torch.no_grad()
def compare_windows(
    network: CoreResNet, size_px: int, slices: int, rounds: int
) -> list[Comparison]:
    """Time overlapping patches against MONAI's sliding windows, everywhere and in a brain."""
    fabric = Fabric(accelerator="cpu", devices=1, precision="32-true")
    rng = np.random.default_rng(0)
    image = rng.normal(size=(CHANNELS, slices, size_px, size_px)).astype(np.float32)
    y, x = (np.indices((size_px, size_px)) - (size_px - 1) / 2) / size_px
    brain = np.broadcast_to((y / 0.42) ** 2 + (x / 0.34) ** 2 < 1, image.shape[1:])
    everywhere = np.ones(image.shape[1:], dtype=bool)
    contiguous = copy.deepcopy(network).to(memory_format=torch.contiguous_format)

    def ours(foreground: np.ndarray) -> np.ndarray:
        return predict_patches(
            lambda patches: {"lesion": network(patches)},
            image,
            foreground,
            fabric,
            patch_px=PATCH_PX,
            step_px=STEP_PX,
        )["lesion"]

    peers = {
        "MONAI sliding windows": monai_windows(contiguous, image),
        "MONAI, channels last": monai_windows(network, image),
    }
    results = []
    for name, (peer, batch) in peers.items():
        require_close(ours(everywhere), peer())
        # In the brain only the patches centred there count: another mean near its edge.
        for where, foreground in (("all", everywhere), ("brain", brain)):
            results.append(
                compare(
                    f"{slices}x{size_px}x{size_px} by {PATCH_PX} px, step {STEP_PX}, {where}",
                    lambda foreground=foreground: ours(foreground),
                    peer,
                    peer_name=f"{name}, batch {batch}",
                    rounds=rounds,
                    repeats=1,
                )
            )
    return results


def monai_windows(network: CoreResNet, image: np.ndarray) -> tuple[Callable[[], np.ndarray], int]:
    """MONAI's sliding windows over the same patches, in its fastest batch of three."""
    # The margin of zeros is ready-made, so that both sides cut the same windows.
    before, after = PATCH_PX // 2, PATCH_PX - PATCH_PX // 2 - 1
    slices = torch.from_numpy(image).permute(1, 0, 2, 3)
    padded = functional.pad(slices, (before, after, before, after)).contiguous()
    inside = slice(before, -after)

    def predict(batch: int) -> np.ndarray:
        probability = sliding_window_inference(
            padded,
            (PATCH_PX, PATCH_PX),
            batch,
            lambda patches: lesion_probability(network(patches))[:, None],
            overlap=1 - STEP_PX / PATCH_PX,
            mode="constant",
        )
        return probability[:, 0, inside, inside].numpy()

    fastest = min((8, 16, 64), key=lambda batch: _seconds(lambda: predict(batch)))
    return lambda: predict(fastest), fastest


def _seconds(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def require_close(mine: Tensor | np.ndarray, theirs: Tensor | np.ndarray) -> None:
    """Stop the benchmark when the two sides do not do the same."""
    if np.abs(np.asarray(mine) - np.asarray(theirs)).max() > TOLERANCE:
        raise SystemExit("the two sides differ: a ratio would be meaningless")


def main(rounds: int) -> None:
    """Print one line a comparison."""
    set_track_meta(False)
    print(f"torch {torch.__version__}, MONAI {monai.__version__}, one thread, {rounds} rounds ABBA")
    network = make_network()
    results = compare_passes(network, CPU_BATCH, rounds)
    results += compare_windows(network, size_px=129, slices=2, rounds=rounds)
    for result in results:
        print(result)


if __name__ == "__main__":
    main(rounds=int(sys.argv[1]) if len(sys.argv) > 1 else 7)
