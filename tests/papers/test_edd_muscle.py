"""The EDD + MUSCLE recipe follows the sheet, and its pipeline does what it says."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from strokerepro.experiment import make_fabric
from strokerepro.networks.receptive_field import encoder_receptive_field
from strokerepro.papers import get_recipe
from strokerepro.papers.edd_muscle.ablations import STACKS, TABLE3_GRID
from strokerepro.papers.edd_muscle.candidates import CandidateSet, train_muscle
from strokerepro.papers.edd_muscle.false_lesions import (
    false_positive_overlap,
    false_positive_sizes,
)
from strokerepro.papers.edd_muscle.pipeline import TrainedEddMuscle
from strokerepro.papers.edd_muscle.segmentation import build_segmenter
from strokerepro.papers.edd_muscle.settings import EddMuscleSettings
from strokerepro.papers.method import RunContext
from strokerepro.preprocess import PreparedCase
from strokerepro.report import load_published


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_the_paper_profile_builds_the_published_network() -> None:
    """Two branches, 1x1 fusion and refinement have 3,223,212 parameters."""
    assert parameters(build_segmenter(EddMuscleSettings())) == 3_223_212


@pytest.mark.parametrize(("field_px", "stacks"), STACKS.items())
def test_the_stacks_of_table_3_have_the_fields_they_stand_for(
    field_px: int, stacks: tuple[int, ...]
) -> None:
    """The inferred stacks give exactly the published receptive fields."""
    assert encoder_receptive_field(stacks) == field_px


def test_every_cell_of_table_3_has_an_experiment() -> None:
    """Eleven pairs of patch side and field, one of them shared with Table 2."""
    columns = load_published("edd_muscle", "table3").columns[2:]
    assert [f"patch{patch}_rf{field}" for patch, field in TABLE3_GRID] == list(columns)
    ablations = get_recipe("edd_muscle").ablations
    for patch, field in TABLE3_GRID:
        name = "arch_deconvnet" if (patch, field) == (64, 44) else f"patch{patch}_rf{field}"
        assert ablations[name].replaces["convs"] == STACKS[field]


def test_the_control_of_equal_capacity_has_equal_parameters() -> None:
    """Fields of 18, 32 and 44 px get the 1.6 million parameters of the field of 64 px."""
    recipe = get_recipe("edd_muscle")
    for field_px in (18, 32, 44):
        settings = recipe.ablation(f"patch64_rf{field_px}_equal_capacity").settings
        assert parameters(build_segmenter(settings)) == pytest.approx(1_606_242, rel=0.03)


def test_four_stacks_have_the_parameters_of_the_sheet() -> None:
    """The fields of 96 and 128 px need a fourth stack of width 256."""
    recipe = get_recipe("edd_muscle")
    for name, count in (("patch96_rf96", 3_892_578), ("patch128_rf128", 6_252_898)):
        assert parameters(build_segmenter(recipe.ablation(name).settings)) == count


def test_sizes_of_false_positives_leave_out_what_touches_a_lesion() -> None:
    """Of three components, one of which overlaps the reference, two are false."""
    mask = np.zeros((2, 8, 8), np.uint8)
    mask[0, 0, 0:3] = 1  # 3 px, false
    mask[0, 5:7, 5:7] = 1  # touches the lesion
    mask[1, 0, 0] = 1  # 1 px, false: another slice is another component
    truth = np.zeros_like(mask)
    truth[0, 6, 6] = 1
    assert sorted(false_positive_sizes(mask, truth)) == [1, 3]


def drawn_mask(*components: tuple[int, int, int, int]) -> np.ndarray:
    """Mask (2, 12, 12) of components in row ``y`` of slice ``z``, from column ``x`` on."""
    mask = np.zeros((2, 12, 12), np.uint8)
    for z, y, x, length in components:
        mask[z, y, x : x + length] = 1
    return mask


LESION = (0, 10, 0, 4)


@pytest.mark.parametrize(
    ("first", "second", "overlap"),
    [
        # A long one of the first touches two of the second: 1 of 2 and 2 of 3.
        ([(0, 0, 0, 9), (0, 4, 0, 2)], [(0, 0, 0, 2), (0, 0, 7, 2), (0, 6, 0, 2)], 7 / 12),
        ([(0, 0, 0, 3)], [(0, 0, 2, 3)], 1.0),
        ([(0, 0, 0, 3)], [(0, 0, 3, 3)], 0.0),  # neighbours share no pixel
        ([(0, 0, 0, 3)], [(1, 0, 0, 3)], 0.0),  # another slice
        ([(0, 10, 0, 2), (0, 0, 0, 2)], [(0, 10, 1, 3)], 0.0),  # on the lesion: not false
        ([(0, 10, 4, 2)], [(0, 10, 3, 3)], 0.0),  # what it touches is no false one
        ([(0, 0, 0, 3), (0, 4, 0, 3)], [], 0.0),  # nobody else has them
    ],
)
def test_the_overlap_of_false_lesions_is_averaged_over_both_ways(
    first: list[tuple[int, int, int, int]],
    second: list[tuple[int, int, int, int]],
    overlap: float,
) -> None:
    """Counted by hand; the order of the members plays no part."""
    masks = [drawn_mask(*first), drawn_mask(*second)]
    truth = drawn_mask(LESION)
    assert false_positive_overlap(masks, truth) == pytest.approx(overlap)
    assert false_positive_overlap(masks[::-1], truth) == pytest.approx(overlap)


def test_without_any_false_lesion_there_is_no_overlap_to_speak_of() -> None:
    """A member that finds the lesion only, and one that finds nothing."""
    masks = [drawn_mask((0, 10, 1, 2)), drawn_mask()]
    assert np.isnan(false_positive_overlap(masks, drawn_mask(LESION)))


def test_three_members_are_compared_pair_by_pair() -> None:
    """The first two share their only false lesion, the third has another: 2 of 6 ordered pairs."""
    shared, other = drawn_mask((0, 0, 0, 3)), drawn_mask((0, 4, 0, 3))
    overlap = false_positive_overlap([shared, shared, other], drawn_mask(LESION))
    assert overlap == pytest.approx(2 / 6)


@pytest.mark.parametrize("n_branches", [1, 2])
def test_only_an_ensemble_of_several_has_an_overlap_in_its_rows(n_branches: int) -> None:
    """It stands with the naive ensemble of two members, and nowhere with one."""
    settings = EddMuscleSettings(width_scale=0.125, n_branches=n_branches)
    torch.manual_seed(0)
    trained = TrainedEddMuscle(settings, build_segmenter(settings).eval(), None)
    image = np.random.default_rng(0).normal(0, 1, (2, 64, 64)).astype(np.float32)
    case = prepared_case(image, drawn_label())
    prediction = trained.predict(case, make_fabric("cpu", "32-true"))
    rows = get_recipe("edd_muscle").method.score(prediction, case, settings)
    carrying = [row["output"] for row in rows if "fp_overlap" in row]
    assert carrying == (["naive"] if n_branches == 2 else [])


def drawn_label() -> np.ndarray:
    """Reference ``(2, 64, 64)`` with one lesion."""
    label = np.zeros((2, 64, 64), np.uint8)
    label[0, 10:20, 10:20] = 1
    return label


def toy_candidates(generator: np.random.Generator, n: int = 200) -> CandidateSet:
    """Real candidates are bright in their centre, false ones are not."""
    patches = generator.normal(0, 0.3, (n, 4, 16, 16)).astype(np.float32)
    is_lesion = np.arange(n) % 4 == 0
    patches[is_lesion, :, 6:10, 6:10] += 2
    return CandidateSet(patches, is_lesion)


def test_muscle_net_learns_to_tell_bright_candidates() -> None:
    """On separable candidates MUSCLE Net reaches what chance would not."""
    settings = EddMuscleSettings(muscle_steps=60, muscle_batch=32)
    fabric = make_fabric("cpu", "32-true")
    candidates = toy_candidates(np.random.default_rng(0))
    network, progress = train_muscle(candidates, settings, RunContext(fabric, seed=1))
    with torch.no_grad():
        judged = network(torch.from_numpy(candidates.patches)).softmax(1)[:, 1].numpy() > 0.5
    assert (judged == candidates.is_lesion).mean() > 0.95
    assert progress.curves["loss/muscle"][-1][1] < 0.3


def test_muscle_net_trained_on_permuted_labels_is_at_chance() -> None:
    """Without a relation between candidate and label nothing is learnt about new candidates."""
    settings = EddMuscleSettings(muscle_steps=40, muscle_batch=32)
    generator = np.random.default_rng(3)
    candidates = toy_candidates(generator)
    permuted = CandidateSet(candidates.patches, generator.permutation(candidates.is_lesion))
    fabric = make_fabric("cpu", "32-true")
    network, _ = train_muscle(permuted, settings, RunContext(fabric, seed=1))
    fresh = toy_candidates(np.random.default_rng(4))
    with torch.no_grad():
        q = network(torch.from_numpy(fresh.patches)).softmax(1)[:, 1].numpy()
    gap = q[fresh.is_lesion].mean() - q[~fresh.is_lesion].mean()
    assert abs(gap) < 0.35


def prepared_case(image: np.ndarray, label: np.ndarray | None) -> PreparedCase:
    return PreparedCase(
        case_id="a", patient_id="a", image=image[None], label=label, spacing_mm=(6.0, 1.6, 1.6),
        geometry=None,  # type: ignore[arg-type]
    )  # fmt: skip


def test_without_a_trained_muscle_net_the_segmentation_stays_as_it_is() -> None:
    """Every fusion then gives EDD Net's own mask, and the record's notes say why."""
    settings = EddMuscleSettings(width_scale=0.125)
    torch.manual_seed(0)
    trained = TrainedEddMuscle(settings, build_segmenter(settings).eval(), None)
    image = np.random.default_rng(0).normal(0, 1, (2, 64, 64)).astype(np.float32)
    prediction = trained.predict(
        prepared_case(image, None), make_fabric("cpu", "32-true"), variants=True
    )
    assert sum(name.startswith("fusion") for name in prediction.masks) == 4
    for name, mask in prediction.masks.items():
        if name.startswith(("fusion", "edd_muscle")):
            assert (mask == prediction.masks["edd"]).all()


def test_every_subject_gets_the_oracle_threshold_as_a_baseline() -> None:
    """The baseline's Dice is that of the best threshold of this very subject."""
    method = get_recipe("edd_muscle").method
    image = np.zeros((1, 64, 64), np.float32)
    image[0, 10:20, 10:20] = 2
    image[0, 40:42, 40:42] = 3  # an artefact brighter than the lesion
    label = np.zeros((1, 64, 64), np.uint8)
    label[0, 10:20, 10:20] = 1
    settings = EddMuscleSettings(width_scale=0.125)
    torch.manual_seed(0)
    trained = TrainedEddMuscle(settings, build_segmenter(settings).eval(), None)
    case = prepared_case(image, label)
    prediction = trained.predict(case, make_fabric("cpu", "32-true"))
    rows = {row["output"]: row for row in method.score(prediction, case, settings)}
    assert rows["threshold"]["dice"] == pytest.approx(2 * 100 / (104 + 100))
