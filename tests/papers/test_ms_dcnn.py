"""The recipe of the dual-path dense U-net follows the sheet, and its pipeline does it."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest
import torch

from strokerepro.cohort import Case
from strokerepro.errors import InputError, UsageError
from strokerepro.experiment import make_fabric
from strokerepro.papers import get_recipe
from strokerepro.papers.method import Prediction, RunContext
from strokerepro.papers.ms_dcnn.pipeline import MsDcnnMethod, TrainedMsDcnn
from strokerepro.papers.ms_dcnn.segmentation import (
    augment,
    build,
    build_loss,
    network_input,
    slice_metrics,
)
from strokerepro.papers.ms_dcnn.settings import MsDcnnSettings
from strokerepro.preprocess import PreparedCase
from strokerepro.report import load_published
from strokerepro.sampling import SliceBatches
from strokerepro.store import Store

RECIPE = get_recipe("ms_dcnn")
#: Slices of 24 x 20 px are resized to 32 x 32.
SMOKE = dataclasses.replace(RECIPE.profile("smoke").settings, resize_px=32)
SHAPE, SPACING_MM = (2, 24, 20), (8.0, 1.0, 1.5)


def slab(number: int) -> Case:
    """A round brain whose lesion is late, slow and poor in blood."""
    rng = np.random.default_rng(number)
    y, x = np.indices(SHAPE[1:])
    brain = np.broadcast_to((y - 12) ** 2 + (x - 10) ** 2 < 9**2, SHAPE)
    label = np.zeros(SHAPE, np.uint8)
    label[:, 8:14, 4 : 9 + number % 3] = 1
    label &= brain
    levels = {"tmax": (2.0, 9.0), "cbf": (50.0, 8.0), "cbv": (4.0, 1.0), "mtt": (4.0, 12.0)}
    noise = rng.uniform(0.9, 1.1, size=(4, *SHAPE))
    maps = {
        name: (np.where(label, ill, well) * noise[index] * brain).astype(np.float32)
        for index, (name, (well, ill)) in enumerate(levels.items())
    }
    return Case(
        case_id=f"case_{number}",
        patient_id=f"p{number}",
        arrays=maps,
        affine=np.diag([1.5, 1.0, 8.0, 1.0]),
        spacing_mm=SPACING_MM,
        label=label,
    )


def prepared(number: int) -> PreparedCase:
    """A slab as the networks take it."""
    return MsDcnnMethod().prepare(slab(number), SMOKE)


@pytest.fixture(scope="module")
def trained() -> TrainedMsDcnn:
    """A network trained for a moment."""
    context = RunContext(make_fabric("cpu", "32-true"), seed=0)
    train = [prepared(number) for number in range(4)]
    return MsDcnnMethod().fit(SMOKE, train, [prepared(4)], context)


def parameters(settings: MsDcnnSettings) -> int:
    """Weights of the network of some settings."""
    with torch.device("meta"):
        return sum(weight.numel() for weight in build(settings).parameters())


def test_the_settings_build_the_inventory_of_the_paper() -> None:
    """36,990,177 weights in 123 layers: 116 of the dense blocks, 3 separate ones and 4."""
    assert parameters(RECIPE.settings) == 36_990_177
    with torch.device("meta"):
        assert build(RECIPE.settings).count_layers() == 123


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("transition_conv", 25_642_721),
        ("units59", 37_711_201),
        ("single_conv", 50_798_817),
    ],
)
def test_other_readings_of_the_depth_have_the_sizes_of_the_sheet(name: str, count: int) -> None:
    """Their parameters follow from the inventory alone."""
    assert parameters(RECIPE.ablation(name).settings) == count


@pytest.mark.parametrize("profile", ["quick", "full"])
def test_one_wide_path_and_plain_blocks_have_about_as_many_parameters(profile: str) -> None:
    """What they are compared with differs by its shape, not by its size."""
    recipe = RECIPE.profile(profile)
    for name in ("one_path_wide", "plain_blocks"):
        ratio = parameters(recipe.ablation(name).settings) / parameters(recipe.settings)
        assert ratio == pytest.approx(1.0, abs=0.05), name


@pytest.mark.parametrize(
    ("routing", "channels", "kernels", "rates"),
    [
        ("grouped", [[0, 1, 2], [3]], (3, 5), (0.01, 0.5)),
        ("all4_both", [[0, 1, 2, 3], [0, 1, 2, 3]], (3, 5), (0.01, 0.5)),
        ("all4_one", [[0, 1, 2, 3]], (3,), (0.01,)),
        ("group_a", [[0, 1, 2]], (3,), (0.01,)),
        ("group_b", [[3]], (5,), (0.5,)),
    ],
)
def test_a_path_gets_its_own_maps_kernel_and_dropout(
    routing: str, channels: list[list[int]], kernels: tuple[int, ...], rates: tuple[float, ...]
) -> None:
    """Tmax, CBF and CBV have channels 0 to 2 and go to the first path, MTT to the second."""
    settings = RECIPE.profile("smoke").replace({"routing": routing}, "test").settings
    network = build(settings)
    stems = [path.stem[0] for path in network.paths]
    assert tuple(stem.kernel_size[0] for stem in stems) == kernels
    assert [stem.in_channels for stem in stems] == [len(group) for group in channels]
    found = {
        tuple(sorted({layer.p for layer in path.modules() if isinstance(layer, torch.nn.Dropout)}))
        for path in network.paths
    }
    assert found == {(rate,) for rate in rates}
    images = torch.arange(4.0)[None, :, None, None].expand(1, 4, 16, 16)
    order = network_input(images, settings)[0, :, 0, 0].tolist()
    assert order == [channel for group in channels for channel in group]


def test_the_accounting_of_published_figures_names_claims_that_exist() -> None:
    """A claim that the table sends the reader to is judged at the end of the chapter."""
    accounting = load_published("ms_dcnn", "accounting")
    named = set(re.findall(r"\bC\d+", " ".join(accounting["how"])))
    known = {claim.name: claim for claim in RECIPE.claims}
    assert named == {"C2", "C9"}
    assert known["C9"].where == "Sec. 3.1"
    assert known["C2"].where == "Sec. 3.2"


def test_a_case_keeps_the_grid_of_its_file_for_the_scores() -> None:
    """Slices of 24 x 20 px become squares of 32, and the reference stays what it was."""
    case, resized = slab(0), prepared(0)
    assert resized.image.shape == (4, 2, 32, 32)
    assert resized.native_label is not None
    assert resized.native_label.shape == SHAPE
    brain = resized.foreground
    assert brain is not None
    ill = resized.label == 1
    tmax, cbf, _, mtt = resized.image
    assert tmax[ill].mean() > tmax[brain].mean()
    assert mtt[ill].mean() > mtt[brain].mean()
    assert cbf[ill].mean() < cbf[brain].mean()
    assert case.label is not None
    np.testing.assert_array_equal(resized.native_label, case.label)


def test_training_learns_by_whole_epochs(trained: TrainedMsDcnn) -> None:
    """8 slices in batches of 4, twice; curves of both losses and of the Dice, once an epoch."""
    assert trained.facts["steps"] == 2 * 2
    assert {"loss/train", "val/loss", "val/dice"} <= set(trained.curves)
    assert [step for step, _ in trained.curves["val/dice"]] == [2, 4]


def test_a_longer_training_segments_the_lesion() -> None:
    """Thirty steps on four slabs suffice for a fifth one, which has no lesion-free slice."""
    settings = dataclasses.replace(SMOKE, epochs=15, validate_every=15, lr=0.005)
    context = RunContext(make_fabric("cpu", "32-true"), seed=0)
    train = [prepared(number) for number in range(4)]
    network = MsDcnnMethod().fit(settings, train, [prepared(4)], context)
    case = prepared(4)
    found = network.predict(case, context.fabric)
    rows = {row["output"]: row for row in MsDcnnMethod().score(found, case, settings)}
    assert rows["raw"]["dice"] > 0.6


def test_masks_lie_on_the_grid_of_the_file_and_the_main_one_is_filtered(
    trained: TrainedMsDcnn,
) -> None:
    """The probability stays on the network's grid; restored it gives the main mask."""
    case = prepared(5)
    found = trained.predict(case, make_fabric("cpu", "32-true"), variants=True)
    assert set(found.masks) == {"raw", "median", "median3", "median7", "mask_first"}
    assert {mask.shape for mask in found.masks.values()} == {SHAPE}
    assert found.on_file_grid
    assert found.probability.shape == (2, 32, 32)
    restored = case.geometry.restore(found.probability)
    np.testing.assert_array_equal(found.masks["raw"], restored > 0.5)
    np.testing.assert_array_equal(found.masks["median"], trained.mask(restored, SPACING_MM))


def test_the_median_of_a_variant_is_that_of_its_name(trained: TrainedMsDcnn) -> None:
    """A dot of 2 x 2 px survives no window of 3 px; a bar of 2 rows does, but none of 5 px."""
    raw = np.zeros((1, 16, 16), bool)
    raw[0, 1:3, 1:3] = True
    raw[0, 8:10] = True
    geometry = prepared(0).geometry
    small = trained._variant("median3", raw, raw.astype(np.float32), geometry)
    assert small.sum() == 2 * 16
    assert not trained._variant("median5", raw, raw.astype(np.float32), geometry).any()
    with pytest.raises(UsageError, match="variant blur; expected medianN"):
        trained._variant("blur", raw, raw.astype(np.float32), geometry)


def test_rows_hold_the_rules_scored_on_the_grid_of_the_file(trained: TrainedMsDcnn) -> None:
    """A mask that equals the reference scores 1, with its volume in mL of the file's voxels."""
    case = prepared(6)
    assert case.native_label is not None
    perfect = Prediction({"raw": case.native_label}, np.zeros((2, 32, 32), np.float32), {})
    rows = {row["output"]: row for row in MsDcnnMethod().score(perfect, case, SMOKE)}
    assert set(rows) == {"raw", "rcbf30", "tmax6"}
    assert rows["raw"]["dice"] == 1.0
    voxel_ml = 8.0 * 1.0 * 1.5 / 1000
    assert rows["raw"]["volume_ml_truth"] == pytest.approx(case.native_label.sum() * voxel_ml)


def test_a_case_without_a_mask_cannot_be_scored(trained: TrainedMsDcnn) -> None:
    """One line says what to use instead."""
    case = MsDcnnMethod().prepare(dataclasses.replace(slab(7), label=None), SMOKE)
    found = trained.predict(case, make_fabric("cpu", "32-true"))
    with pytest.raises(InputError, match=r"case_7 without a lesion mask.*strokerepro predict"):
        MsDcnnMethod().score(found, case, SMOKE)


def test_a_restored_network_predicts_what_it_predicted(trained: TrainedMsDcnn) -> None:
    """Weights and running statistics survive the checkpoint."""
    fabric, case = make_fabric("cpu", "32-true"), prepared(8)
    again = MsDcnnMethod().restore(SMOKE, trained.state(), fabric)
    np.testing.assert_array_equal(
        again.predict(case, fabric).probability, trained.predict(case, fabric).probability
    )


def test_several_networks_average_their_probabilities(trained: TrainedMsDcnn) -> None:
    """Of the network and one with another head's offset, halfway between the two."""
    fabric, case = make_fabric("cpu", "32-true"), prepared(9)
    other = MsDcnnMethod().restore(SMOKE, trained.state(), fabric)
    with torch.no_grad():
        other.networks[0].head[-1].bias += 2.0
    both = MsDcnnMethod().average([trained, other])
    maps = [item.predict(case, fabric).probability for item in (trained, other)]
    np.testing.assert_allclose(
        both.predict(case, fabric).probability, (maps[0] + maps[1]) / 2, atol=1e-6
    )
    assert both.facts["networks"] == 2


def test_augmentation_flips_and_turns_image_and_label_together() -> None:
    """A bright square stays under its label; without flips and turns nothing changes."""
    settings = dataclasses.replace(SMOKE, flip_probability=1.0, max_rotation_deg=0.0)
    images = torch.zeros(1, 4, 32, 32)
    images[:, :, 4:12, 2:9] = 1.0
    labels = images[:, 0].to(torch.uint8)
    flipped, mask = augment(images, labels, settings, torch.Generator())
    torch.testing.assert_close(flipped, images.flip(-1))
    assert torch.equal(mask, labels.flip(-1))
    still = dataclasses.replace(settings, flip_probability=0.0)
    torch.testing.assert_close(augment(images, labels, still, torch.Generator())[0], images)
    turned = dataclasses.replace(still, max_rotation_deg=15.0, elastic=True)
    moved, mask = augment(images, labels, turned, torch.Generator().manual_seed(1))
    assert moved.shape == images.shape
    assert not torch.equal(moved, images)
    assert moved[:, 0][mask == 1].min() > 0.4


def test_slice_metrics_by_hand() -> None:
    """Everything is called lesion: a case with 1 of 4 pixels ill has 2 * 1 / (4 + 1)."""
    cases = []
    for number, ill in enumerate((1, 64, 0)):
        base = prepared(number)
        label = np.zeros((2, 32, 32), np.uint8)
        label.reshape(-1)[: ill * 32] = 1
        cases.append(dataclasses.replace(base, label=label, foreground=np.ones_like(label) > 0))
    store = Store.from_cases(cases, "cpu")

    class Ill(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return torch.ones(len(images), 1, *images.shape[2:])

    found = slice_metrics(
        Ill(),
        store,
        SliceBatches(store, seed=0),
        lambda logits, labels: logits.mean() + len(logits),  # type: ignore[arg-type]
        SMOKE,
        make_fabric("cpu", "32-true"),
    )
    first, second = 2 * 32 / (2048 + 32), 1.0  # the third case has no lesion
    assert found["dice"] == pytest.approx((first + second) / 2)
    assert found["loss"] == pytest.approx((5.0 + 3.0) / 2)  # 6 slices: a batch of 4, one of 2


@pytest.mark.parametrize(
    ("name", "weights"), [("dice", (1, 0)), ("dice+bce", (1, 1)), ("bce", (0, 1))]
)
def test_the_loss_is_eq_4_unless_another_is_asked_for(name: str, weights: tuple[int, int]) -> None:
    """The text's cross-entropy is a switch."""
    loss = build_loss(RECIPE.replace({"loss": name}, "test").settings)
    assert (loss.dice_weight, loss.bce_weight) == weights
    assert (loss.reduce, loss.eps) == ("batch", 1.0)


@pytest.mark.parametrize(
    ("pair", "message"),
    [({"resize_px": "150"}, "multiple of 16"), ({"median_px": "4"}, "an odd number of pixels")],
)
def test_sizes_that_cannot_be_are_refused(pair: dict[str, str], message: str) -> None:
    """Slices are halved four times; a median has a middle."""
    with pytest.raises(UsageError, match=message):
        RECIPE.replace(pair, "user")


def test_the_cost_counts_operations_of_network_and_epochs() -> None:
    """One path costs about half, and twice the side four times as much; nothing is computed."""
    method = MsDcnnMethod()
    cost = method.cost(SMOKE)
    assert method.cost(dataclasses.replace(SMOKE, epochs=4)) == pytest.approx(2 * cost)
    assert method.cost(dataclasses.replace(SMOKE, resize_px=64)) == pytest.approx(4 * cost)
    one = method.cost(dataclasses.replace(SMOKE, routing="all4_one"))
    assert 0.4 < one / cost < 0.7
    # 26.5 GMAC a slice; a fold trains on 402 of the 502 slices.
    literal = method.cost(dataclasses.replace(RECIPE.settings, epochs=1)) / 3 / 402
    assert literal == pytest.approx(26.5e9, rel=0.01)
