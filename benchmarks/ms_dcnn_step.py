"""A training step of the dual-path dense U-Net: with checkpointing, and fed by worker processes.

Run with ``OMP_NUM_THREADS=1 python benchmarks/ms_dcnn_step.py [rounds] [--tiny]``: the literal
network of 37 million parameters on batches of four slices of 160 x 160 px, on a GPU if there is
one; with ``--tiny`` that of the profile `quick`, to see that the program runs. Data are synthetic;
that both sides compute the same is checked in the same run, before the timing.

It prints, in this order: what one slice keeps for the backward pass besides the weights, counted
tensor by tensor; the peak memory of a whole step with weights and optimiser, on the GPU or of this
process; the ratio of a checkpointed step to a plain one; that of a step of a plain loop whose
slices worker processes of MONAI turn, by the time on the wall.
"""

from __future__ import annotations

import itertools
import math
import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from types import SimpleNamespace

import numpy as np
import torch
from _measure import Comparison, compare
from torch import Tensor, nn

from strokerepro.augment import apply_flip_rotation, draw_flip_rotation
from strokerepro.losses import SoftDice
from strokerepro.networks import build_network
from strokerepro.networks.saved_memory import saved_activation_bytes
from strokerepro.sampling import SliceBatches
from strokerepro.store import Store

try:
    import monai
    from monai.data import DataLoader, Dataset, set_track_meta
    from monai.losses import DiceLoss
    from monai.transforms import Compose, RandFlipd, RandRotated
except ImportError:
    monai = None

TINY = {
    "units": (2, 2, 2, 2),
    "growth": 8,
    "stem_width": 16,
    "up_widths": (32, 16, 16, 8),
    "head_width": 8,
}
BATCH, CHANNELS, SIDE_PX, MAX_DEG, WORKERS = 4, 4, 160, 15.0, 2
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
Step = Callable[[], object]


def make_network(checkpointing: bool, overrides: Mapping[str, object]) -> nn.Module:
    """The network with drawn weights, in training mode, on the device."""
    generator = torch.Generator().manual_seed(0)
    network = build_network(
        "ms_dcnn", checkpointing=checkpointing, generator=generator, **overrides
    )
    return network.to(DEVICE)


def make_cases(count: int, depth: int) -> list[SimpleNamespace]:
    """Cases of noise with one disc-shaped lesion in each slice."""
    rng = np.random.default_rng(0)
    y, x = np.indices((SIDE_PX, SIDE_PX))
    cases = []
    for number in range(count):
        centre_y, centre_x = rng.uniform(0.3 * SIDE_PX, 0.7 * SIDE_PX, size=2)
        disc = (y - centre_y) ** 2 + (x - centre_x) ** 2 < 300
        image = rng.normal(size=(CHANNELS, depth, SIDE_PX, SIDE_PX)).astype(np.float32)
        cases.append(
            SimpleNamespace(
                image=image,
                label=np.repeat(disc[None], depth, axis=0).astype(np.uint8),
                foreground=None,
                case_id=f"case-{number}",
                patient_id=f"case-{number}",
            )
        )
    return cases


def our_step(network: nn.Module, cases: list[SimpleNamespace]) -> Step:
    """Resident slices turned as a batch, channels last, the soft Dice, a fused optimiser."""
    network = network.to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, fused=True)
    store = Store.from_cases(cases, DEVICE)
    slices, loss, numbers = SliceBatches(store, seed=0), SoftDice(), itertools.count()
    generator = torch.Generator().manual_seed(0)

    def step() -> float:
        corners = slices.corners(slices.batch(next(numbers), BATCH), SIDE_PX)
        drawn = draw_flip_rotation(len(corners), 0.5, MAX_DEG, generator)
        images, labels = apply_flip_rotation(*store.window(corners, SIDE_PX), drawn, SIDE_PX)
        optimizer.zero_grad(set_to_none=True)
        value = loss(network(images), labels)
        value.backward()
        optimizer.step()
        return value.item()  # waits for a GPU

    return step


def monai_step(network: nn.Module, cases: list[SimpleNamespace]) -> Step:
    """The same network in a plain loop: slices turned one by one in worker processes."""
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    loss = DiceLoss(sigmoid=True, batch=True, smooth_nr=1.0, smooth_dr=1.0)
    batches = monai_batches(cases)

    def step() -> float:
        batch = next(batches)
        images, labels = (batch[key].to(DEVICE, non_blocking=True) for key in ("image", "label"))
        optimizer.zero_grad()
        value = loss(network(images), labels)
        value.backward()
        optimizer.step()
        return value.item()

    return step


def monai_batches(cases: list[SimpleNamespace]) -> Iterator[dict[str, Tensor]]:
    """Batches without end from MONAI's loader, slices cached in memory as tensors."""
    keys = ("image", "label")
    samples = [
        {
            "image": torch.from_numpy(case.image[:, z].copy()),
            "label": torch.from_numpy(case.label[None, z].astype(np.float32)),
        }
        for case in cases
        for z in range(case.label.shape[0])
    ]
    turn = RandRotated(
        keys,
        range_x=math.radians(MAX_DEG),
        prob=1,
        mode=("bilinear", "nearest"),
        padding_mode="zeros",
    )
    loader = DataLoader(
        Dataset(samples, Compose([RandFlipd(keys, prob=0.5, spatial_axis=1), turn])),
        batch_size=BATCH,
        shuffle=True,
        num_workers=WORKERS,
        persistent_workers=True,
        pin_memory=DEVICE == "cuda",
    )
    while True:
        yield from loader


def check_checkpointing(overrides: Mapping[str, object]) -> None:
    """Require equal logits and gradients on small slices, dropout included."""
    results = []
    for checkpointing in (False, True):
        network = make_network(checkpointing, overrides)
        torch.manual_seed(0)
        logits = network(torch.randn(BATCH, CHANNELS, 32, 32).to(DEVICE))
        logits.square().mean().backward()
        gradients = [weight.grad.flatten() for weight in network.parameters()]
        results.append((logits, torch.cat(gradients)))
    for kept, computed_again in zip(*results, strict=True):
        require((kept - computed_again).norm().item() <= 1e-4 * kept.norm().item())


def check_loss() -> None:
    """Require that both sides' losses agree on one batch."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(BATCH, 1, 32, 32, generator=generator)
    labels = (torch.rand(BATCH, 32, 32, generator=generator) > 0.9).to(torch.uint8)
    theirs = DiceLoss(sigmoid=True, batch=True, smooth_nr=1.0, smooth_dr=1.0)
    difference = SoftDice()(logits, labels) - theirs(logits, labels[:, None].float())
    require(abs(difference.item()) < 1e-6)


def require(same: bool) -> None:
    """Stop the benchmark when the two sides do not do the same."""
    if not same:
        raise SystemExit("the two sides differ: a ratio would be meaningless")


def print_memory(overrides: Mapping[str, object]) -> None:
    """Print what one slice keeps for the backward pass, counted without computing."""
    for checkpointing in (False, True):
        with torch.device("meta"):
            network = build_network("ms_dcnn", checkpointing=checkpointing, **overrides)
            image = torch.empty(1, CHANNELS, SIDE_PX, SIDE_PX)
        mebibytes = saved_activation_bytes(network, image) / 2**20
        name = "checkpointed" if checkpointing else "kept"
        print(f"activations a slice, {name:<12} {mebibytes:6.0f} MiB (float32 dropout masks)")


def print_peaks(cases: list[SimpleNamespace], overrides: Mapping[str, object]) -> None:
    """Print the memory that two steps need at their peak, weights and optimiser included.

    The peak of a process never falls again, so that the step that needs less comes first.
    """
    for name, checkpointing in (("checkpointing", True), ("activations kept", False)):
        step = our_step(make_network(checkpointing, overrides), cases)
        if DEVICE == "cuda":
            torch.cuda.reset_peak_memory_stats()
        step(), step()
        if DEVICE == "cuda":
            peak, where = torch.cuda.max_memory_allocated(), "on the GPU"
        else:
            peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            where = "of the process, libraries and data included"
        del step
        print(f"peak with {name}: {peak / 1e9:.2f} GB {where}", flush=True)


def compare_all(rounds: int, overrides: Mapping[str, object]) -> Iterator[Comparison]:
    """Time our step against its checkpointed form and against the worker-fed loop."""
    cases = make_cases(8, 8)
    work = f"step, {BATCH}x{CHANNELS}x{SIDE_PX}x{SIDE_PX}, {DEVICE}"
    # Workers and a GPU do their part outside of this process's CPU time.
    wall = time.perf_counter
    print_peaks(cases, overrides)
    check_checkpointing(overrides)
    ours = our_step(make_network(False, overrides), cases)
    again = our_step(make_network(True, overrides), cases)
    clock = wall if DEVICE == "cuda" else time.process_time
    name = "the same, checkpointed"
    yield compare(work, ours, again, peer_name=name, rounds=rounds, repeats=1, clock=clock)
    del again
    if monai is None:
        print("MONAI is not installed: no loop to compare; fix: pip install 'strokerepro[bench]'")
        return
    set_track_meta(False)
    check_loss()
    fed = monai_step(make_network(False, overrides), cases)
    name = f"plain loop, MONAI, {WORKERS} workers (wall)"
    yield compare(work, ours, fed, peer_name=name, rounds=rounds, repeats=1, clock=wall)


def main(rounds: int, overrides: Mapping[str, object] | None = None) -> None:
    """Print one line a comparison; `overrides` of the network, the literal one if None."""
    version = "absent" if monai is None else monai.__version__
    print(f"torch {torch.__version__}, MONAI {version}, one thread, {rounds} rounds ABBA")
    print_memory(overrides or {})
    for result in compare_all(rounds, overrides or {}):
        print(result, flush=True)


if __name__ == "__main__":
    # A step takes ten seconds on one core.
    few = 7 if DEVICE == "cuda" else 2
    numbers = [int(word) for word in sys.argv[1:] if word != "--tiny"]
    main(rounds=numbers[0] if numbers else few, overrides=TINY if "--tiny" in sys.argv else None)
