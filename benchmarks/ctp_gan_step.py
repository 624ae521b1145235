"""A training step of generator, discriminator and segmentor against a plain eager loop.

Run with ``OMP_NUM_THREADS=1 python benchmarks/ctp_gan_step.py [rounds]``: base 16, batches of six
slices of 128 x 128 px, on a GPU if there is one. Data are synthetic; that both sides compute the
same losses and weights is checked in the same run, before the timing. On a CPU convolutions take
more than four fifths of a step, at the speed of the processor: what is left to win is their
memory format.
"""

from __future__ import annotations

import copy
import itertools
import math
import sys
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace

import numpy as np
import torch
from _measure import Comparison, compare
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.nn import functional

from strokerepro.papers.ctp_gan.networks import Networks, build
from strokerepro.papers.ctp_gan.settings import CtpGanSettings
from strokerepro.papers.ctp_gan.training import augment
from strokerepro.papers.ctp_gan.updates import Updates, make_optimizers
from strokerepro.sampling import SliceBatches
from strokerepro.store import Store

try:
    import monai
    from monai.data import DataLoader, Dataset, set_track_meta
    from monai.losses import GeneralizedDiceLoss
    from monai.transforms import Compose, RandAffined, RandFlipd
except ImportError:
    monai = None

SIDE_PX = 128
SETTINGS = CtpGanSettings(base=16, matrix_px=SIDE_PX, window_px=SIDE_PX, precision="32-true")
INPUTS = len(SETTINGS.inputs)
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
# One process does the whole work on one core, so that its own CPU time is the time of the step.
WORKERS = 4 if DEVICE == "cuda" else 0
Step = Callable[[], object]
Losses = dict[str, Tensor]


def make_networks() -> Networks:
    """All three networks with drawn weights, in training mode, in the default memory format."""
    return build(SETTINGS, torch.Generator().manual_seed(0))


def make_cases(count: int, depth: int) -> list[SimpleNamespace]:
    """Cases of noise with one disc-shaped lesion in each slice; the DWI, last, is in 0..1."""
    rng = np.random.default_rng(0)
    y, x = np.indices((SIDE_PX, SIDE_PX))
    cases = []
    for number in range(count):
        centre_y, centre_x = rng.uniform(0.3 * SIDE_PX, 0.7 * SIDE_PX, size=2)
        disc = (y - centre_y) ** 2 + (x - centre_x) ** 2 < 200
        maps = rng.normal(size=(INPUTS, depth, SIDE_PX, SIDE_PX))
        dwi = rng.uniform(0, 0.5, size=(1, depth, SIDE_PX, SIDE_PX)) + 0.5 * disc
        cases.append(
            SimpleNamespace(
                image=np.concatenate([maps, dwi]).astype(np.float32),
                label=np.repeat(disc[None], depth, axis=0).astype(np.uint8),
                foreground=None,
                case_id=f"case-{number}",
                patient_id=f"case-{number}",
            )
        )
    return cases


def our_updates(networks: Networks) -> Callable[[Tensor, Tensor], object]:
    """Both updates as the recipe makes them."""
    fabric = Fabric(accelerator=DEVICE, devices=1, precision="32-true")
    networks = networks.to_device(fabric)
    updates = Updates(SETTINGS, networks, make_optimizers(SETTINGS, networks), fabric)
    return lambda images, labels: updates(images, labels, epoch=0)


def our_step(networks: Networks, cases: list[SimpleNamespace]) -> Step:
    """Resident slices, transformed as a batch, and the recipe's updates."""
    updates, store = our_updates(networks), Store.from_cases(cases, DEVICE)
    slices, numbers = SliceBatches(store, seed=0), itertools.count()
    generator = torch.Generator().manual_seed(0)

    def step() -> object:
        rows = slices.batch(next(numbers), SETTINGS.batch)
        images, labels = store.window(slices.corners(rows, SIDE_PX), SIDE_PX)
        return finished(updates(*augment(images, labels, SETTINGS, generator)))

    return step


def plain_updates(networks: Networks) -> Callable[[Tensor, Tensor], Losses]:
    """The two updates as a tutorial writes them: contiguous maps, optimisers by default."""
    generator, discriminator, segmentor = (
        networks.modules[name].to(DEVICE) for name in ("generator", "discriminator", "segmentor")
    )
    options = {"lr": SETTINGS.optimizer_lr, "alpha": SETTINGS.rmsprop_alpha, "eps": 1e-8}
    of_both = torch.optim.RMSprop([*generator.parameters(), *segmentor.parameters()], **options)
    of_judge = torch.optim.RMSprop(discriminator.parameters(), **options)
    ce, mse = nn.CrossEntropyLoss(), nn.MSELoss()
    gdl = GeneralizedDiceLoss(softmax=True, batch=True, smooth_nr=0, smooth_dr=0)
    by_image, by_adversary, by_mask = SETTINGS.omega

    def updates(images: Tensor, labels: Tensor) -> Losses:
        inputs, real = images[:, :INPUTS], images[:, INPUTS:]
        generated = generator(inputs)
        of_judge.zero_grad()
        real_scores, fake_scores = discriminator(real), discriminator(generated.detach())
        judged = mse(real_scores, torch.ones_like(real_scores))
        judged = judged + mse(fake_scores, torch.zeros_like(fake_scores))
        judged.backward()
        of_judge.step()
        of_both.zero_grad()
        scores = discriminator(generated)
        logits = segmentor(generated)
        reconstruction = mse(generated, real)
        adversarial = mse(scores, torch.ones_like(scores))
        one_hot = functional.one_hot(labels.long(), 2).permute(0, 3, 1, 2).float()
        segmentation = ce(logits, labels.long()) - torch.log(1 - gdl(logits, one_hot))
        total = by_image * SETTINGS.gloss_scale * reconstruction
        (total + by_adversary * adversarial + by_mask * segmentation).backward()
        of_both.step()
        return {
            "d": judged.detach(),
            "g_reconstruction": reconstruction.detach(),
            "g_adversarial": adversarial.detach(),
            "seg": segmentation.detach(),
        }

    return updates


def plain_step(networks: Networks, cases: list[SimpleNamespace]) -> Step:
    """The plain updates, fed slice by slice through a dataset and its transforms."""
    updates, batches = plain_updates(networks), monai_batches(cases)

    def step() -> object:
        batch = next(batches)
        images, labels = (batch[key].to(DEVICE, non_blocking=True) for key in ("image", "label"))
        return finished(updates(images, labels[:, 0]))

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
    smallest, largest = SETTINGS.scale_range
    move = RandAffined(
        keys,
        prob=1,
        rotate_range=math.radians(SETTINGS.max_rotation_deg),
        scale_range=(smallest - 1, largest - 1),
        translate_range=SETTINGS.max_shift_px * SIDE_PX / 256,
        mode=("bilinear", "nearest"),
        padding_mode="zeros",
    )
    flip = RandFlipd(keys, prob=SETTINGS.flip_probability, spatial_axis=1)
    loader = DataLoader(
        Dataset(samples, Compose([flip, move])),
        batch_size=SETTINGS.batch,
        shuffle=True,
        num_workers=WORKERS,
        persistent_workers=WORKERS > 0,
        pin_memory=DEVICE == "cuda",
    )
    while True:
        yield from loader


def finished(losses: object) -> object:
    """Wait for a GPU by reading the losses, as a loop that logs them does."""
    assert isinstance(losses, dict)
    return {name: value.item() for name, value in losses.items()}


def check_updates(cases: list[SimpleNamespace]) -> None:
    """Require equal losses on one batch, and weights that the same update has changed alike."""
    images = torch.stack([torch.from_numpy(case.image[:, 0]) for case in cases]).to(DEVICE)
    labels = torch.stack([torch.from_numpy(case.label[0]) for case in cases]).to(DEVICE)
    ours, plain = make_networks(), make_networks()
    before = copy.deepcopy(ours.state())
    one, other = our_updates(ours)(images, labels), plain_updates(plain)(images, labels)
    assert isinstance(one, dict)
    for name, value in other.items():
        require(math.isclose(one[name].item(), value.item(), rel_tol=1e-4))
    for name, weights in plain.state().items():
        # RMSprop's first step is nearly the sign of a gradient, and that of a tiny one is noise:
        # almost all weights must have moved alike.
        moved, alike, count = 0, 0, 0
        for key, value in weights.items():
            mine, start = ours.state()[name][key].to(value), before[name][key].to(value)
            moved += int((value != start).sum())
            alike += int(((mine - value).abs() <= 0.01 * SETTINGS.optimizer_lr).sum())
            count += value.numel()
        require(moved > 0.9 * count and alike > 0.98 * count)


def require(same: bool) -> None:
    """Stop the benchmark when the two sides do not do the same."""
    if not same:
        raise SystemExit("the two sides differ: a ratio would be meaningless")


def compare_all(rounds: int) -> Iterator[Comparison]:
    """Time the whole step, data included, and the updates of one batch alone."""
    set_track_meta(False)
    cases = make_cases(SETTINGS.batch, 4)
    check_updates(cases)
    # A GPU and workers do their part outside of this process's CPU time.
    clock = time.perf_counter if DEVICE == "cuda" else time.process_time
    size = f"{SETTINGS.batch}x{INPUTS}x{SIDE_PX}x{SIDE_PX}, {DEVICE}"
    name = f"plain eager loop, MONAI, {WORKERS} workers"
    ours, plain = our_step(make_networks(), cases), plain_step(make_networks(), cases)
    yield compare(
        f"G+D+S step, {size}", ours, plain, peer_name=name, rounds=rounds, repeats=1, clock=clock
    )
    images = torch.randn(SETTINGS.batch, INPUTS + 1, SIDE_PX, SIDE_PX, device=DEVICE)
    labels = torch.ones(SETTINGS.batch, SIDE_PX, SIDE_PX, dtype=torch.uint8, device=DEVICE)
    labels[:, 30:] = 0
    as_ours = images.contiguous(memory_format=torch.channels_last)
    ours, plain = our_updates(make_networks()), plain_updates(make_networks())
    yield compare(
        f"the updates alone, {size}",
        lambda: finished(ours(as_ours, labels)),
        lambda: finished(plain(images, labels)),
        peer_name="plain eager updates",
        rounds=rounds,
        repeats=1,
        clock=clock,
    )


def main(rounds: int) -> None:
    """Print one line a comparison."""
    if monai is None:
        print("MONAI is not installed: no loop to compare; fix: pip install 'strokerepro[bench]'")
        return
    print(f"torch {torch.__version__}, MONAI {monai.__version__}, one thread, {rounds} rounds ABBA")
    for result in compare_all(rounds):
        print(result, flush=True)


if __name__ == "__main__":
    main(rounds=int(sys.argv[1]) if len(sys.argv) > 1 else 5)
