"""The recipe of the residual encoder-decoder follows the sheet, and its pipeline does it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from strokerepro.errors import InputError, UsageError
from strokerepro.experiment import make_fabric
from strokerepro.papers import get_recipe
from strokerepro.papers.core_resnet.ensemble import ENSEMBLE, EnsembleCoreResNet
from strokerepro.papers.core_resnet.operating_point import Point, apply, size_vox
from strokerepro.papers.core_resnet.pipeline import CoreResNetMethod, TrainedCoreResNet
from strokerepro.papers.core_resnet.prediction import probability_maps, wanted_at
from strokerepro.papers.core_resnet.segmentation import build, patch_metrics, patch_px, step_px
from strokerepro.papers.core_resnet.settings import CoreResNetSettings
from strokerepro.papers.method import RunContext
from strokerepro.preprocess import PreparedCase
from strokerepro.preprocess.geometry import Geometry, Window

SPACING_MM = (10.0, 2.0, 2.0)
SMOKE = get_recipe("core_resnet").profile("smoke").settings


def prepared(number: int, channels: int = 10, lesion: bool = True) -> PreparedCase:
    """A round brain with a bright square lesion in every channel."""
    rng = np.random.default_rng(number)
    y, x = np.indices((48, 48))
    brain = np.broadcast_to((y - 24) ** 2 + (x - 24) ** 2 < 20**2, (2, 48, 48)).copy()
    label = np.zeros((2, 48, 48), np.uint8)
    if lesion:
        label[:, 20:28, 10 : 18 + number] = 1
    image = (rng.normal(size=(channels, 2, 48, 48)) + 3 * label) * brain
    return PreparedCase(
        case_id=f"case_{number}",
        patient_id=f"p{number}",
        image=image.astype(np.float32),
        label=label,
        spacing_mm=SPACING_MM,
        geometry=Geometry(label.shape, SPACING_MM, 1, SPACING_MM[1:], Window(0, 0, 48, 48)),
        foreground=brain,
        baselines={"rcbf30": label.copy()},
    )


@pytest.fixture(scope="module")
def trained() -> TrainedCoreResNet:
    """A network trained for a moment."""
    context = RunContext(make_fabric("cpu", "32-true"), seed=0)
    train = [prepared(number) for number in range(3)]
    return CoreResNetMethod().fit(SMOKE, train, [prepared(3)], context)


@pytest.mark.parametrize(("symmetry", "count"), [("affine", 592_610), ("none", 592_250)])
def test_the_settings_build_the_published_network(symmetry: str, count: int) -> None:
    """Ten channels with mirrored copies, five without them."""
    settings = dataclasses.replace(CoreResNetSettings(), symmetry=symmetry)
    assert sum(weight.numel() for weight in build(settings).parameters()) == count


def test_lengths_in_pixels_shrink_with_the_matrix() -> None:
    """Half the matrix halves patch and step; a side of 24 becomes the next multiple of 16."""
    half = dataclasses.replace(CoreResNetSettings(), matrix_divisor=2)
    assert (patch_px(half), step_px(half)) == (32, 4)
    assert patch_px(dataclasses.replace(half, patch_px=48)) == 32
    assert (patch_px(CoreResNetSettings()), step_px(CoreResNetSettings())) == (64, 8)


def test_smallest_components_are_counted_in_voxels_or_millilitres() -> None:
    """200 voxels stay 200; 1 ml is 25 voxels of 40 microlitres."""
    voxels = CoreResNetSettings()
    ml = dataclasses.replace(voxels, min_size_unit="ml")
    assert size_vox(200, SPACING_MM, voxels) == 200
    assert size_vox(1.0, SPACING_MM, ml) == 25


def test_an_operating_point_cuts_above_the_threshold_and_drops_small_components() -> None:
    """Of components of 3 and 2 voxels above 0.5 only the first has at least 3."""
    probability = np.zeros((1, 4, 6), np.float32)
    probability[0, 0, :3] = 0.9
    probability[0, 3, :2] = 0.9
    probability[0, 3, 4:] = 0.5
    mask = apply(probability, Point(0.5, 3.0), SPACING_MM, CoreResNetSettings())
    assert mask.sum() == 3
    assert mask[0, 0, :3].all()


def test_training_learns_and_its_curves_have_the_four_quantities_of_figure_3(
    trained: TrainedCoreResNet,
) -> None:
    """Loss, accuracy, L1 plus error rate and Dice of the validation patches."""
    names = {"val/loss", "val/accuracy", "val/l1_error", "val/dice", "loss/train"}
    assert names <= set(trained.curves)
    assert trained.facts["steps"] == 2 * 3  # 3 cases of 8 patches in batches of 8, twice
    assert set(trained.points) == {"single", "uf"}


def test_a_case_is_segmented_the_same_way_twice_whatever_else_is_predicted(
    trained: TrainedCoreResNet,
) -> None:
    """The noise of the filtering belongs to case and output, not to the order of work."""
    fabric, case = make_fabric("cpu", "32-true"), prepared(5)
    alone = trained.predict(case, fabric)
    trained.settings = dataclasses.replace(trained.settings, variants=("uf_rate50",))
    with_variants = trained.predict(case, fabric, variants=True)
    np.testing.assert_array_equal(alone.probability, with_variants.probability)
    assert not np.array_equal(with_variants.maps["uf_rate50"], alone.probability)


def test_nothing_is_predicted_outside_the_brain(trained: TrainedCoreResNet) -> None:
    """Probabilities are zero where there is no tissue."""
    case = prepared(6)
    found = trained.predict(case, make_fabric("cpu", "32-true"))
    assert case.foreground is not None
    assert not found.probability[~case.foreground].any()


def test_a_restored_network_predicts_what_it_predicted(trained: TrainedCoreResNet) -> None:
    """Weights, operating points and the seed of the noise survive the checkpoint."""
    fabric, case = make_fabric("cpu", "32-true"), prepared(7)
    again = CoreResNetMethod().restore(trained.settings, trained.state(), fabric)
    assert again.points == trained.points
    before, after = (item.predict(case, fabric).masks for item in (trained, again))
    for name, mask in before.items():
        np.testing.assert_array_equal(mask, after[name])


def test_rows_hold_the_rules_and_the_scores_at_every_pair(trained: TrainedCoreResNet) -> None:
    """The clinical rule is scored beside the outputs, and each output at 9 x 6 pairs."""
    case = prepared(8)
    found = trained.predict(case, make_fabric("cpu", "32-true"))
    rows = {row["output"]: row for row in CoreResNetMethod().score(found, case, trained.settings)}
    assert set(rows) == {"single", "uf", "rcbf30"}
    assert rows["uf"]["grid_dice"].shape == (9, 6)
    assert rows["rcbf30"]["dice"] == 1.0
    point = trained.points["uf"]
    i = trained.settings.thresholds.index(point.threshold)
    j = trained.settings.min_sizes.index(point.min_size)
    assert rows["uf"]["grid_dice"][i, j] == pytest.approx(rows["uf"]["dice"])


def test_a_distance_in_voxels_ignores_the_slice_thickness(trained: TrainedCoreResNet) -> None:
    """A mask one slice off is 1 voxel and 10 mm away."""
    case = prepared(9)
    assert case.label is not None
    truth = np.zeros_like(case.label)
    truth[0, 20:24, 20:24] = 1
    case = dataclasses.replace(case, label=truth, baselines={"rcbf30": truth[::-1].copy()})
    found = trained.predict(case, make_fabric("cpu", "32-true"))
    rows = {row["output"]: row for row in CoreResNetMethod().score(found, case, trained.settings)}
    assert (rows["rcbf30"]["hd_vox"], rows["rcbf30"]["hd_mm"]) == (1.0, 10.0)


def test_the_ensemble_is_the_mean_of_its_members(trained: TrainedCoreResNet) -> None:
    """Two equal members give the probability of one, and members are scored beside it."""
    fabric, case = make_fabric("cpu", "32-true"), prepared(10)
    ensemble = CoreResNetMethod().average([trained, trained])
    assert isinstance(ensemble, EnsembleCoreResNet)
    found = ensemble.predict(case, fabric, variants=True)
    np.testing.assert_allclose(found.probability, trained.predict(case, fabric).probability)
    assert set(found.masks) == {ENSEMBLE, "network_0", "network_1"}
    np.testing.assert_array_equal(found.masks[ENSEMBLE], found.masks["network_0"])


def test_patch_metrics_by_hand() -> None:
    """Probabilities 0.5 off everywhere: an L1 of 0.5 and, with ties not counted, the lesion wrong.

    Two of eight pixels are lesion; logits of zero give p = 0.5, which is not above one half.
    """

    class Zero(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return torch.zeros(len(images), 2, *images.shape[2:])

    labels = torch.zeros(1, 2, 4, dtype=torch.uint8)
    labels[0, 0, :2] = 1
    found = patch_metrics(
        Zero(),
        iter([(torch.zeros(1, 1, 2, 4), labels)]),
        lambda logits, truth: logits.sum() + 3.0,  # type: ignore[arg-type]
        make_fabric("cpu", "32-true"),
    )
    assert found["loss"] == 3.0
    assert found["accuracy"] == pytest.approx(0.75)
    assert found["l1_error"] == pytest.approx(0.5 + 0.25)
    assert found["dice"] == 0.0
    assert found["soft_dice"] == pytest.approx(1 - 2 * 1.0 / (4.0 + 2.0))


def test_variants_name_rate_passes_or_step() -> None:
    """All filters of one step share its patches; another step needs its own."""
    settings = dataclasses.replace(
        CoreResNetSettings(), variants=("uf_rate50", "uf_passes10", "step32")
    )
    wanted = wanted_at(settings, variants=True)
    assert set(wanted) == {8, 32}
    assert set(wanted[8].filters) == {"uf", "uf_rate50", "uf_passes10"}
    assert (wanted[8].filters["uf_rate50"].rate, wanted[8].filters["uf_rate50"].passes) == (0.5, 3)
    assert wanted[32].singles == ("step32",)
    same = dataclasses.replace(settings, variants=("step8",))
    assert wanted_at(same, variants=True)[8].singles == ("single", "step8")
    with pytest.raises(UsageError, match="variant dropout"):
        wanted_at(dataclasses.replace(settings, variants=("dropout",)), variants=True)


def test_the_plain_prediction_does_not_depend_on_the_filtering(trained: TrainedCoreResNet) -> None:
    """Without passes there is one map, equal to the plain one beside the filtered one."""
    fabric, case = make_fabric("cpu", "32-true"), prepared(11)
    plain = dataclasses.replace(trained.settings, uf_passes=0, variants=())
    maps, _ = probability_maps(trained.network, case, plain, fabric, 0, variants=False)
    assert set(maps) == {"single"}
    np.testing.assert_array_equal(maps["single"], trained.predict(case, fabric).maps["single"])


def test_a_case_without_a_mask_cannot_be_scored(trained: TrainedCoreResNet) -> None:
    """One line says what to use instead."""
    case = dataclasses.replace(prepared(12), label=None)
    found = trained.predict(case, make_fabric("cpu", "32-true"))
    with pytest.raises(InputError, match=r"case_12 without a lesion mask.*strokerepro predict"):
        CoreResNetMethod().score(found, case, trained.settings)


def test_a_patch_that_the_matrix_cannot_hold_is_noted(trained: TrainedCoreResNet) -> None:
    """At half the matrix the baseline's 48 px become 64: the record says so."""
    recipe = get_recipe("core_resnet").profile("smoke").ablation("baseline_lite")
    context = RunContext(make_fabric("cpu", "32-true"), seed=0)
    cases = [prepared(number, channels=5) for number in range(2)]
    found = CoreResNetMethod().fit(recipe.settings, cases, [prepared(3, channels=5)], context)
    assert "patches of 64 px instead of 48" in found.notes[0]


def test_the_cost_of_a_training_follows_the_sheet() -> None:
    """43.6 million multiply-accumulates a patch, three times for 300,000 patches, 100 epochs."""
    cost = CoreResNetMethod().cost(CoreResNetSettings())
    assert cost == pytest.approx(43.6e6 * (3 * 300_000 + 76_000) * 100, rel=0.01)
