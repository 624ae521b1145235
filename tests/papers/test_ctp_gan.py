"""The recipe of the pipeline follows the sheet, and its training and prediction do what it says."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.optim import SGD

from strokerepro.cohort import Case, Series
from strokerepro.errors import InputError, UsageError
from strokerepro.experiment import make_fabric
from strokerepro.networks.ctp_gan import CtpGanUNet
from strokerepro.papers import get_recipe
from strokerepro.papers.ctp_gan.networks import Networks, build
from strokerepro.papers.ctp_gan.pipeline import CtpGanMethod, TrainedCtpGan
from strokerepro.papers.ctp_gan.preparation import crop_to_brain
from strokerepro.papers.ctp_gan.settings import FIVE, MAPS, CtpGanSettings
from strokerepro.papers.ctp_gan.training import augment, learning_rate, slice_metrics, whole_slices
from strokerepro.papers.ctp_gan.updates import Updates, build_loss, make_optimizers
from strokerepro.papers.method import RunContext
from strokerepro.preprocess import PreparedCase
from strokerepro.sampling import SliceBatches
from strokerepro.store import Store

RECIPE = get_recipe("ctp_gan")
#: Slices of 40 x 40 px become 64 x 64, of which a window of 48 x 48 holds the brain.
SMOKE = dataclasses.replace(
    RECIPE.profile("smoke").settings, window_px=48, disc_widths=(4, 8, 1), precision="32-true"
)
SHAPE, SPACING_MM = (2, 40, 40), (8.0, 1.5, 1.5)
FABRIC = make_fabric("cpu", "32-true")


def slab(number: int, dwi: bool = True) -> Case:
    """A round brain whose lesion is late, slow, poor in blood and bright in the DWI."""
    rng = np.random.default_rng(number)
    y, x = np.indices(SHAPE[1:])
    brain = np.broadcast_to((y - 22) ** 2 + (x - 19) ** 2 < 13**2, SHAPE)
    label = np.zeros(SHAPE, np.uint8)
    label[:, 18:27, 9 : 16 + number % 3] = 1
    label &= brain
    levels = {
        "tmax": (2.0, 9.0), "cbf": (50.0, 8.0), "cbv": (4.0, 1.0), "mtt": (4.0, 12.0),
        "ct": (35.0, 32.0), "dwi": (100.0, 250.0),
    }  # fmt: skip
    maps = {
        name: (np.where(label, ill, well) * rng.uniform(0.9, 1.1, SHAPE) * brain).astype(np.float32)
        for name, (well, ill) in levels.items()
        if dwi or name != "dwi"
    }
    series = np.stack([maps["ct"] + 5 * t * (brain & (label == 0)) for t in range(4)])
    return Case(
        case_id=f"case_{number}",
        patient_id=f"p{number}",
        arrays=maps,
        affine=np.diag([1.5, 1.5, 8.0, 1.0]),
        spacing_mm=SPACING_MM,
        label=label,
        series={"ctp": Series(series.astype(np.float32), 1.0)},
    )


def prepared(number: int, settings: CtpGanSettings = SMOKE, dwi: bool = True) -> PreparedCase:
    """A slab as the networks take it."""
    return CtpGanMethod().prepare(slab(number, dwi), settings)


def train(settings: CtpGanSettings, **context: Any) -> TrainedCtpGan:
    """A training on four slabs."""
    cases = [prepared(number, settings) for number in range(4)]
    return CtpGanMethod().fit(
        settings, cases, [prepared(4, settings)], RunContext(FABRIC, seed=0, **context)
    )


@pytest.fixture(scope="module")
def trained() -> TrainedCtpGan:
    """A pipeline trained for a moment."""
    return train(SMOKE)


def parameters(settings: CtpGanSettings) -> Mapping[str, int]:
    """Weights of each network of some settings."""
    with torch.device("meta"):
        modules = build(settings).modules
    return {name: sum(w.numel() for w in module.parameters()) for name, module in modules.items()}


def test_the_settings_build_the_networks_of_the_sheet() -> None:
    """The counts follow from the sheet's tables of layers."""
    assert parameters(RECIPE.settings) == {
        "generator": 31_044_673, "segmentor": 31_042_564, "discriminator": 1_083_841,
    }  # fmt: skip
    assert parameters(RECIPE.ablation("stage1_dwi").settings) == {"segmentor": 31_042_434}


@pytest.mark.parametrize(
    ("name", "pipeline", "inputs"),
    [
        ("stage1_dwi", "dwi", FIVE),
        ("stage2_direct", "direct", MAPS),
        ("stage3_gan", "gan", FIVE),
        ("gan_4ch", "gan", MAPS),
        ("direct_5ch", "direct", FIVE),
    ],
)
def test_stages_before_the_fourth_differ_in_pipeline_and_inputs_alone(
    name: str, pipeline: str, inputs: tuple[str, ...]
) -> None:
    """All have batch normalisation and two plain classes."""
    settings = RECIPE.ablation(name).settings
    assert (settings.pipeline, settings.inputs) == (pipeline, inputs)
    assert (settings.norm, settings.background_maps, settings.self_attention) == ("bn", 1, "none")


def test_stage_3_and_the_main_experiment_span_a_square_of_two_factors() -> None:
    """Each of the four combinations of normalisation and maxout is an experiment."""
    names = ("stage3_gan", "stage3_gn", "stage3_maxout", "main")
    found = [RECIPE.ablation(name).settings for name in names]
    assert [(item.norm, item.background_maps) for item in found] == [
        ("bn", 1), ("gn", 1), ("bn", 3), ("gn", 3),
    ]  # fmt: skip
    same = [dataclasses.replace(item, norm="gn", background_maps=3) for item in found]
    assert same == [RECIPE.settings] * 4


def test_the_learning_rate_is_halved_at_the_stated_epochs() -> None:
    """It depends on the epoch alone; quick has its milestones at the same shares."""
    rates = [learning_rate(RECIPE.settings, epoch) for epoch in (0, 99, 100, 300, 500, 699)]
    assert rates == [1e-4, 1e-4, 5e-5, 2.5e-5, 1.25e-5, 1.25e-5]
    quick = RECIPE.profile("quick").settings
    shares = [milestone / quick.epochs for milestone in quick.lr_milestones]
    assert shares == pytest.approx([100 / 700, 300 / 700, 500 / 700])


@pytest.mark.parametrize(
    ("name", "training", "beyond_maps"),
    [
        ("main", True, {"ctp", "dwi"}),
        ("main", False, {"ctp"}),
        ("gan_4ch", True, {"dwi"}),
        ("gan_4ch", False, set()),
        ("stage1_dwi", False, {"dwi"}),
        ("stage2_direct", True, set()),
        ("with_ct", True, {"ct", "ctp", "dwi"}),
        ("with_ct", False, {"ct", "ctp"}),
    ],
)
def test_only_what_an_experiment_needs_must_be_there(
    name: str, training: bool, beyond_maps: set[str]
) -> None:
    """A generator predicts without a DWI; direct segmentation never asks for one."""
    images = RECIPE.ablation(name).images(training=training)
    assert images is not None
    assert set(images) - set(MAPS) == beyond_maps


def test_a_case_has_its_inputs_and_its_dwi_last_in_a_window_around_the_brain() -> None:
    """Maps are z-scores, the DWI lies in 0 to 1; scores stay on the grid of the file."""
    case = prepared(0)
    assert case.channels == (*FIVE, "dwi")
    assert case.image.shape == (6, 2, 48, 48)
    brain, ill = case.foreground, case.label == 1
    assert brain is not None
    tmax, maximum, dwi = case.image[1], case.image[4], case.image[5]
    assert tmax[brain].mean() == pytest.approx(0, abs=1e-4)
    assert maximum[ill].mean() < maximum[brain].mean()
    assert (dwi.min(), dwi.max()) == (0, 1)
    assert dwi[ill].mean() > dwi[brain].mean()
    assert case.native_label is not None
    assert case.native_label.shape == SHAPE
    assert set(case.native_baselines) == {"rcbf30", "tmax6", "rcbf30_delay3"}


def test_a_case_without_dwi_is_prepared_unless_the_dwi_is_the_input() -> None:
    """The generator's channels keep their places; without its only input nothing can be done."""
    case = prepared(0, dwi=False)
    assert case.channels == FIVE
    np.testing.assert_array_equal(case.image, prepared(0).image[:5])
    with pytest.raises(InputError, match=r"case_0 without dwi.*June 2018"):
        prepared(0, dataclasses.replace(SMOKE, pipeline="dwi"), dwi=False)


def test_training_a_generator_without_dwi_is_refused_before_it_begins() -> None:
    """One line names the case and what can be trained instead."""
    with pytest.raises(InputError, match="case_1 without dwi; expected the DWI that the gen"):
        CtpGanMethod().fit(
            SMOKE, [prepared(0), prepared(1, dwi=False)], [], RunContext(FABRIC, seed=0)
        )


def test_the_window_holds_the_brain_wherever_it_lies() -> None:
    """What is restored of a volume that is 0 outside the brain is the volume itself."""
    whole = prepared(0, dataclasses.replace(SMOKE, window_px=64))
    cut = crop_to_brain(whole, 48)
    assert cut.geometry.prepared_shape == (2, 48, 48)
    for channel in range(6):
        np.testing.assert_allclose(
            cut.geometry.restore(cut.image[channel]), whole.geometry.restore(whole.image[channel])
        )
    assert cut.label is not None
    assert whole.label is not None
    assert cut.label.sum() == whole.label.sum()
    # The brain is about 42 px wide: 32 px cannot hold it, and 48 is the next multiple of 16.
    assert crop_to_brain(whole, 32).image.shape[-1] == 48


def large_and_small(settings: CtpGanSettings) -> list[PreparedCase]:
    """Two cases of which the first alone, of 48 px, does not fit into a window of 32 px."""
    whole = prepared(0, dataclasses.replace(settings, window_px=64))
    small = dataclasses.replace(
        crop_to_brain(whole, 48),
        case_id="small",
        image=whole.image[..., 16:48, 16:48],
        label=whole.label[..., 16:48, 16:48],  # type: ignore[index]
        foreground=whole.foreground[..., 16:48, 16:48],  # type: ignore[index]
    )
    return [crop_to_brain(whole, 32), small]


def test_a_brain_larger_than_the_window_is_seen_whole() -> None:
    """A batch has the side of its largest slice, and nothing of that slice is missing."""
    settings = dataclasses.replace(SMOKE, window_px=32)
    cases = large_and_small(settings)
    assert [case.image.shape[-1] for case in cases] == [48, 32]
    store = Store.from_cases(cases, "cpu")
    slices = SliceBatches(store, seed=0)
    images, labels = whole_slices(settings, store, slices, torch.tensor([1, 2]))
    assert images.shape == (2, 6, 48, 48)
    np.testing.assert_array_equal(images[0], cases[0].image[:, 1])
    np.testing.assert_array_equal(images[1, :, 8:40, 8:40], cases[1].image[:, 0])
    np.testing.assert_array_equal(labels[0], cases[0].label[1])  # type: ignore[index]
    assert whole_slices(settings, store, slices, torch.tensor([2, 3]))[0].shape[-1] == 32


def test_training_and_validation_take_slices_larger_than_the_window_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No batch has the 32 px of the window, into which no brain of 42 px fits."""
    sides = set()
    run = CtpGanUNet.forward

    def note(network: CtpGanUNet, image: Tensor) -> Tensor:
        sides.add((network.training, image.shape[-1]))
        return run(network, image)

    monkeypatch.setattr(CtpGanUNet, "forward", note)
    train(dataclasses.replace(SMOKE, window_px=32, epochs=1))
    assert sides == {(True, 48), (False, 48)}


def test_the_background_is_zero_however_channels_are_normalised() -> None:
    """With statistics of the volume each channel is shifted; what it says of the brain stays."""
    settings = dataclasses.replace(SMOKE, normalise="zscore_volume")
    case, raw = prepared(0, settings), prepared(0)
    brain = case.foreground
    assert brain is not None
    assert not case.image[:, ~brain].any()
    for channel, values in enumerate(case.image):
        correlation = np.corrcoef(values[brain], raw.image[channel][brain])[0, 1]
        assert correlation == pytest.approx(1, abs=1e-4)
    assert not np.allclose(case.image[0], raw.image[0], atol=0.1)


def test_weights_chosen_on_the_reported_cases_leave_a_note() -> None:
    """Chosen on held-out patients, or not at all, they leave none."""
    notes = {
        where: train(dataclasses.replace(SMOKE, epochs=1, select="dice", validate_on=where)).notes
        for where in ("outer", "inner")
    }
    assert [len(notes[where]) for where in ("outer", "inner")] == [1, 0]
    assert "reported cases" in notes["outer"][0]


def test_the_time_of_a_case_ends_before_the_oracle(
    trained: TrainedCtpGan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A segmentation of the real DWI that takes half a second adds nothing to any stage."""
    seen = []

    def slow(networks: Networks, images: Tensor) -> dict[str, Tensor]:
        time.sleep(0.5)
        seen.append(len(images))
        return {"oracle_dwi": images[:, 0]}

    monkeypatch.setattr("strokerepro.papers.ctp_gan.pipeline._segmented_real", slow)
    seconds = trained.predict(prepared(5), FABRIC, variants=True).seconds
    assert seen
    assert set(seconds) == {"network", "restore"}
    assert sum(seconds.values()) < 0.5


def state(networks: Networks) -> dict[str, Tensor]:
    """A copy of all weights of each network, flat."""
    return {
        name: torch.cat([weight.detach().flatten() for weight in module.parameters()])
        for name, module in networks.modules.items()
    }


def changed(settings: CtpGanSettings, epoch: int = 0) -> set[str]:
    """Networks that one update changes."""
    torch.manual_seed(0)
    networks = build(settings)
    updates = Updates(settings, networks, make_optimizers(settings, networks), FABRIC)
    before = state(networks)
    labels = torch.zeros(2, 48, 48, dtype=torch.uint8)
    labels[:, 10:20, 10:20] = 1
    updates(torch.rand(2, 6, 48, 48), labels, epoch=epoch)
    after = state(networks)
    return {name for name in before if not torch.equal(before[name], after[name])}


@pytest.mark.parametrize(
    ("replaced", "epoch", "expected"),
    [
        ({}, 0, {"generator", "discriminator", "segmentor"}),
        ({"alternate": "epoch"}, 0, {"discriminator"}),
        ({"alternate": "epoch"}, 1, {"generator", "segmentor"}),
        ({"omega": (0.002, 0.5, 0.0)}, 0, {"generator", "discriminator"}),
        ({"omega": (0.0, 0.0, 1.0)}, 0, {"generator", "discriminator", "segmentor"}),
        ({"omega": (0.0, 0.0, 1.0), "seg_detach": True}, 0, {"discriminator", "segmentor"}),
        ({"omega": (0.0, 0.5, 0.0), "seg_detach": True}, 0, {"generator", "discriminator"}),
    ],
)
def test_each_loss_trains_the_networks_that_eq_6_says(
    replaced: dict[str, Any], epoch: int, expected: set[str]
) -> None:
    """The discriminator learns by Eq. 2 alone; the segmentation loss reaches the generator."""
    assert changed(dataclasses.replace(SMOKE, **replaced), epoch) == expected


@pytest.mark.parametrize(
    ("epoch", "moving"), [(0, {"discriminator"}), (1, {"generator", "segmentor"})]
)
def test_the_side_that_rests_keeps_its_running_statistics_too(epoch: int, moving: set[str]) -> None:
    """With batch normalisation everywhere, buffers change only where weights do."""
    settings = dataclasses.replace(SMOKE, alternate="epoch", norm="bn", disc_norm="bn")
    networks = build(settings, torch.Generator().manual_seed(0))
    before = {name: buffers(module) for name, module in networks.modules.items()}
    updates = Updates(settings, networks, make_optimizers(settings, networks), FABRIC)
    labels = torch.zeros(2, 48, 48, dtype=torch.uint8)
    labels[:, 10:20, 10:20] = 1
    updates(torch.rand(2, 6, 48, 48), labels, epoch=epoch)
    after = {name: buffers(module) for name, module in networks.modules.items()}
    assert {name for name in before if not torch.equal(before[name], after[name])} == moving


def buffers(module: torch.nn.Module) -> Tensor:
    """Running statistics of a network, flat."""
    return torch.cat([item.detach().flatten().float() for item in module.buffers()])


def test_low_precision_ends_before_the_image_and_the_score() -> None:
    """Under bfloat16 a generated image has more than 8 bits, and so has the mean of scores."""
    networks = build(SMOKE, torch.Generator().manual_seed(0))
    images = torch.rand(2, 5, 48, 48, generator=torch.Generator().manual_seed(1))
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        image = networks.generate(images)
        score = networks.judge(image, images)
    for values in (image, score):
        assert values.dtype == torch.float32
        assert not torch.equal(values, values.bfloat16().float())


def test_switches_change_what_the_networks_see() -> None:
    """A conditioned discriminator sees 6 channels, a segmentor with the inputs too."""
    both = dataclasses.replace(SMOKE, disc_cond=True, seg_input="dwi+ctp", seg_mix_real=True)
    networks = build(both)
    assert networks.discriminator is not None
    assert networks.discriminator.in_channels == networks.segmentor.in_channels == 6
    assert changed(both) == {"generator", "discriminator", "segmentor"}


def test_the_joint_loss_weighs_the_three_terms_as_stated() -> None:
    """0.002 of an error on the scale 0 to 255 is 130.05 of one on the scale 0 to 1."""
    settings = RECIPE.settings
    assert settings.omega == (0.002, 0.5, 1.0)
    assert settings.omega[0] * settings.gloss_scale == pytest.approx(130.05)


def pair_of_slices() -> tuple[Tensor, Tensor]:
    """Two slices with all six channels and their masks."""
    images = torch.rand(2, 6, 48, 48, generator=torch.Generator().manual_seed(1))
    labels = torch.zeros(2, 48, 48, dtype=torch.uint8)
    labels[:, 10:20, 10:20] = 1
    return images, labels


#: Large enough for a discriminator that its update matters to the generator.
RATES = {"pipeline": 1.0, "discriminator": 0.03}


def descended(networks: Networks, name: str, loss: Tensor) -> None:
    """One step of plain gradient descent on one or two networks, by hand."""
    both = networks.modules["generator"], networks.modules["segmentor"]
    modules = both if name == "pipeline" else (networks.modules[name],)
    weights = [weight for module in modules for weight in module.parameters()]
    slopes = torch.autograd.grad(loss, weights)
    with torch.no_grad():
        for weight, slope in zip(weights, slopes, strict=True):
            weight -= RATES[name] * slope


def by_hand(
    omega: tuple[float, float, float], scale: float, judge_first: bool = True
) -> dict[str, Tensor]:
    """Weights after Eq. 2 and Eq. 6, written out."""
    networks = build(SMOKE, torch.Generator().manual_seed(0))
    generator, judge = networks.modules["generator"], networks.modules["discriminator"]
    images, labels = pair_of_slices()
    real, generated = images[:, 5:], generator(images[:, :5])

    def eq_2() -> Tensor:
        value: Tensor = (judge(real) - 1).square().mean() + judge(
            generated.detach()
        ).square().mean()
        return value

    def eq_6() -> Tensor:
        logits = networks.modules["segmentor"](generated)
        terms = (
            scale * (generated - real).square().mean(),
            (judge(generated) - 1).square().mean(),
            build_loss(SMOKE)(logits, labels),
        )
        return sum((w * term for w, term in zip(omega, terms, strict=True)), torch.zeros(()))

    steps = [("discriminator", eq_2), ("pipeline", eq_6)]
    for name, loss in steps if judge_first else reversed(steps):
        descended(networks, name, loss())
    return state(networks)


def test_an_update_is_eq_2_and_then_eq_6_with_the_updated_discriminator() -> None:
    """Plain gradient descent instead of RMSprop, whose first step hardly knows a loss's scale."""
    networks = build(SMOKE, torch.Generator().manual_seed(0))
    before = state(networks)
    assert networks.discriminator is not None
    optimizers = {
        "pipeline": SGD(networks.trained_together(), lr=RATES["pipeline"]),
        "discriminator": SGD(networks.discriminator.parameters(), lr=RATES["discriminator"]),
    }
    Updates(SMOKE, networks, optimizers, FABRIC)(*pair_of_slices(), epoch=0)
    after = state(networks)

    def error(expected: Mapping[str, Tensor]) -> float:
        """Largest difference relative to the largest change of the same network."""
        parts = [
            (after[name] - expected[name]).abs().max() / (after[name] - before[name]).abs().max()
            for name in after
        ]
        return float(torch.stack(parts).max())

    assert error(by_hand((0.002, 0.5, 1.0), 65025.0)) < 1e-4
    assert error(by_hand((0.5, 0.002, 1.0), 65025.0)) > 0.1  # terms exchanged
    assert error(by_hand((0.002, 0.5, 1.0), 1.0)) > 0.1  # an error on the scale 0 to 1
    assert error(by_hand((0.002, 1.0, 1.0), 65025.0)) > 1e-3  # another weight of the adversary
    assert error(by_hand((0.002, 0.5, 1.0), 65025.0, judge_first=False)) > 1e-3


def test_each_step_has_the_rate_of_its_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two steps an epoch, halved from the second and again from the fourth on, for both sides."""
    seen = []
    run = Updates.__call__

    def note(updates: Updates, *arguments: Any, **options: Any) -> Mapping[str, Tensor]:
        groups = [group for item in updates.optimizers.values() for group in item.param_groups]
        seen.append([group["lr"] for group in groups])
        return run(updates, *arguments, **options)

    monkeypatch.setattr(Updates, "__call__", note)
    train(dataclasses.replace(SMOKE, epochs=4, lr_milestones=(1, 3), optimizer_lr=8e-4))
    by_epoch = (8e-4, 4e-4, 4e-4, 2e-4)
    assert seen == [[rate, rate] for rate in by_epoch for _ in range(2)]


@pytest.mark.parametrize(
    ("replaced", "kind", "weights"),
    [
        ({}, "ce_log_gdc", (1.0, 1.0)),
        ({"seg_loss": "literal"}, "literal", (1.0, 1.0)),
        ({"ce_balanced": True}, "ce_log_gdc", "inverse_frequency"),
    ],
)
def test_the_segmentation_loss_is_eq_5_with_the_coefficient(
    replaced: dict[str, Any], kind: str, weights: Any
) -> None:
    """The printed sign is a switch, as is the weighting that the abstract speaks of."""
    loss = build_loss(dataclasses.replace(SMOKE, **replaced))
    assert (loss.kind, loss.ce_weight, loss.gdc_power) == (kind, weights, 2.0)


def test_augmentation_moves_all_channels_and_the_mask_alike() -> None:
    """Whatever moves a channel moves all; nothing moves without augmentation."""
    images = torch.zeros(1, 6, 48, 48)
    images[:, :, 10:20, 12:30] = 1.0
    labels = images[:, 0].to(torch.uint8)
    moved, mask = augment(images, labels, SMOKE, torch.Generator().manual_seed(1))
    assert not torch.equal(mask, labels)
    assert torch.equal(moved[:, :1].expand_as(moved), moved)
    assert ((moved[:, 0] > 0.5) == mask.bool()).float().mean() > 0.98
    still = RECIPE.ablation("aug_none").settings
    torch.testing.assert_close(augment(images, labels, still, torch.Generator())[0], images)


def test_shifts_are_stated_in_pixels_of_the_whole_matrix() -> None:
    """10 px of 256 are 2.5 px where slices have 64 px: the largest of 400 draws is just below."""
    settings = dataclasses.replace(
        SMOKE, flip_probability=0.0, max_rotation_deg=0.0, scale_range=(1.0, 1.0)
    )
    assert (settings.max_shift_px, settings.matrix_px) == (10.0, 64)
    y, x = torch.meshgrid(torch.arange(48.0), torch.arange(48.0), indexing="ij")
    blob = torch.exp(-((y - 24).square() + (x - 24).square()) / 18)
    images = blob.expand(400, 1, 48, 48)
    moved, _ = augment(images, images[:, 0] > 0.5, settings, torch.Generator().manual_seed(0))
    weights = moved[:, 0] / moved[:, 0].sum(dim=(1, 2), keepdim=True)
    shifts = torch.stack([(weights * axis).sum(dim=(1, 2)) - 24 for axis in (y, x)])
    for largest in shifts.abs().amax(dim=1).tolist():
        assert 2.4 < largest < 2.51


def test_training_learns_by_whole_epochs_and_records_all_losses(trained: TrainedCtpGan) -> None:
    """8 slices in batches of 6: two steps an epoch, of which there are two."""
    assert trained.facts["steps"] == 2 * 2
    assert set(trained.curves) == {
        "loss/d", "loss/d_score_real", "loss/d_score_generated", "loss/g_reconstruction",
        "loss/g_adversarial", "loss/seg", "val/loss", "val/dice", "val/g_reconstruction",
    }  # fmt: skip
    assert [step for step, _ in trained.curves["val/dice"]] == [2, 4]


@pytest.mark.parametrize("pipeline", ["gan", "direct", "dwi"])
def test_a_longer_training_segments_the_lesion(pipeline: str) -> None:
    """Forty steps suffice for each pipeline on slabs as simple as these."""
    settings = dataclasses.replace(
        SMOKE, pipeline=pipeline, base=8, epochs=20, validate_every=20, optimizer_lr=2e-3,
        lr_milestones=(15,),
    )  # fmt: skip
    found = train(settings)
    case = prepared(5, settings)
    prediction = found.predict(case, FABRIC, variants=True)
    rows = {row["output"]: row for row in CtpGanMethod().score(prediction, case, settings)}
    assert rows["segmentation"]["dice"] > 0.7
    if pipeline == "gan":
        synthesis = rows["segmentation"]
        assert synthesis["dwi_lesion_contrast_generated"] > 1.2
        assert synthesis["dwi_mse"] < 0.05


class _StoppedError(Exception):
    pass


@pytest.mark.parametrize("norm", ["gn", "bn"])
def test_an_interrupted_training_continues_bit_for_bit(tmp_path: Path, norm: str) -> None:
    """Losses of all networks, curves, weights and statistics equal those of one go."""
    settings = dataclasses.replace(SMOKE, epochs=4, lr_milestones=(1, 3), norm=norm, disc_norm=norm)
    whole = train(settings)

    def interrupt(done: int, total: int, note: str) -> None:
        # The third epoch is lost: its checkpoint is only written at its end.
        if done >= 6:
            raise _StoppedError

    stem = tmp_path / "run"
    with pytest.raises(_StoppedError):
        train(settings, checkpoint=stem, identity="a", advance=interrupt)
    assert list(tmp_path.glob("run.*.partial.ckpt"))
    resumed = train(settings, checkpoint=stem, identity="a")
    assert resumed.curves == whole.curves
    ours, theirs = resumed.members[0].state(), whole.members[0].state()
    for name, weights in theirs.items():
        for key, values in weights.items():
            assert torch.equal(ours[name][key], values), (name, key)


def test_masks_lie_on_the_grid_of_the_file(trained: TrainedCtpGan) -> None:
    """The oracle is a variant and needs the DWI; the generated image needs no DWI."""
    full = trained.predict(prepared(5), FABRIC, variants=True)
    assert set(full.masks) == {"segmentation", "oracle_dwi"}
    assert {mask.shape for mask in full.masks.values()} == {SHAPE}
    assert set(full.images) == {"generated_dwi", "real_dwi"}
    assert full.on_file_grid
    blind = trained.predict(prepared(5, dwi=False), FABRIC, variants=True)
    assert set(blind.masks) == {"segmentation"}
    assert set(blind.images) == {"generated_dwi"}
    np.testing.assert_array_equal(blind.probability, full.probability)
    assert set(trained.predict(prepared(5), FABRIC).masks) == {"segmentation"}


def test_the_row_of_the_segmentation_holds_the_scores_of_the_image(trained: TrainedCtpGan) -> None:
    """Rules and oracle have no image of their own; without a DWI nobody has."""
    case = prepared(6)
    rows = CtpGanMethod().score(trained.predict(case, FABRIC, variants=True), case, SMOKE)
    assert [row["output"] for row in rows] == [
        "segmentation", "oracle_dwi", "rcbf30", "tmax6", "rcbf30_delay3",
    ]  # fmt: skip
    with_image = [row["output"] for row in rows if "dwi_psnr_db" in row]
    assert with_image == ["segmentation"]
    counts = np.array(rows[0]["slice_counts"])
    assert counts[:, 0].tolist() == [0, 1]
    assert counts[:, 3].sum() == slab(6).label.sum()  # type: ignore[union-attr]
    assert 2 * counts[:, 1].sum() / counts[:, 2:].sum() == pytest.approx(rows[0]["dice"])
    assert rows[0]["volume_ml_truth"] == pytest.approx(slab(6).label.sum() * 8 * 1.5 * 1.5 / 1000)  # type: ignore[union-attr]
    blind = prepared(6, dwi=False)
    rows = CtpGanMethod().score(trained.predict(blind, FABRIC), blind, SMOKE)
    assert "dwi_psnr_db" not in rows[0]


def test_a_restored_pipeline_predicts_what_it_predicted(trained: TrainedCtpGan) -> None:
    """Weights of all networks survive the checkpoint, those of the discriminator too."""
    again = CtpGanMethod().restore(SMOKE, trained.state(), FABRIC)
    case = prepared(7)
    np.testing.assert_array_equal(
        again.predict(case, FABRIC).probability, trained.predict(case, FABRIC).probability
    )
    assert set(trained.state()["members"][0]) == {"generator", "discriminator", "segmentor"}


def test_several_pipelines_average_probabilities_and_images(trained: TrainedCtpGan) -> None:
    """Of a pipeline and one with another offset in both heads, halfway between the two."""
    other = CtpGanMethod().restore(SMOKE, trained.state(), FABRIC)
    networks = other.members[0]
    assert networks.generator is not None
    with torch.no_grad():
        networks.generator.head.bias += 0.5
        networks.segmentor.head.bias[-1] += 2.0
    both = CtpGanMethod().average([trained, other])
    case = prepared(8)
    one, two, mean = (item.predict(case, FABRIC) for item in (trained, other, both))
    np.testing.assert_allclose(mean.probability, (one.probability + two.probability) / 2, atol=1e-6)
    images = [item.images["generated_dwi"] for item in (one, two, mean)]
    np.testing.assert_allclose(images[2], (images[0] + images[1]) / 2, atol=1e-6)


def test_validation_scores_what_prediction_scores(trained: TrainedCtpGan) -> None:
    """The Dice of the curve is that of the masks, on slices that were not resampled back."""
    cases = [prepared(number) for number in (4, 5)]
    store = Store.from_cases(cases, "cpu")
    networks = trained.members[0]
    with torch.no_grad():
        found = slice_metrics(networks, store, SliceBatches(store, seed=0), FABRIC)
    dice = []
    for case in cases:
        mask = trained.predict(case, FABRIC).probability > 0.5
        truth = case.label == 1
        dice.append(2 * (mask & truth).sum() / (mask.sum() + truth.sum()))
    assert found["dice"] == pytest.approx(np.mean(dice))


def test_a_window_larger_than_the_matrix_is_refused() -> None:
    """One line names both."""
    with pytest.raises(UsageError, match="window_px 256 of slices of 128 px"):
        RECIPE.replace({"matrix_px": "128"}, "user")


def test_a_case_without_a_mask_cannot_be_scored(trained: TrainedCtpGan) -> None:
    """One line says what to use instead."""
    case = CtpGanMethod().prepare(dataclasses.replace(slab(7), label=None), SMOKE)
    with pytest.raises(InputError, match=r"case_7 without a lesion mask.*strokerepro predict"):
        CtpGanMethod().score(trained.predict(case, FABRIC), case, SMOKE)


def test_the_cost_counts_operations_of_all_networks_and_epochs() -> None:
    """Without generator and discriminator less than half is left; nothing is computed."""
    method, paper = CtpGanMethod(), RECIPE.settings
    cost = method.cost(paper)
    assert method.cost(dataclasses.replace(paper, epochs=1400)) == pytest.approx(2 * cost)
    direct = method.cost(dataclasses.replace(paper, pipeline="direct"))
    # 48.2 GMAC a slice, three times that with the way back; a fold trains on 376 slices.
    assert direct == pytest.approx(3 * 48.2e9 * 700 * 376, rel=0.01)
    assert 0.4 < direct / cost < 0.5


@pytest.mark.slow
@pytest.mark.parametrize("profile", ["smoke", "quick"])
def test_the_networks_of_every_experiment_fit_the_slices_of_a_profile(profile: str) -> None:
    """No window is too small for the discriminator; what an experiment costs can be told."""
    recipe = RECIPE.profile(profile)
    main = recipe.method.cost(recipe.settings)
    for name in recipe.ablations:
        assert 0.2 < recipe.method.cost(recipe.ablation(name).settings) / main < 2, name


@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPE.ablations)
def test_every_experiment_trains_predicts_and_scores(name: str) -> None:
    """Each switch is followed through; the losses stay finite, which the loop checks."""
    smoke = RECIPE.profile("smoke").ablation(name).settings
    settings = dataclasses.replace(
        smoke, window_px=48, disc_widths=(4, 8, 1), precision="32-true", epochs=1
    )
    found = train(settings)
    case = prepared(5, settings)
    rows = CtpGanMethod().score(found.predict(case, FABRIC, variants=True), case, settings)
    assert len(rows) == (5 if settings.pipeline == "gan" else 4)
