"""Balanced patches: which voxels they stand on, in which order, and where in the patch."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from strokerepro.errors import InputError, UsageError
from strokerepro.sampling import BalancedPatches
from strokerepro.sampling.voxels import choose
from strokerepro.store import Store


def make_case(*slices, name="a"):
    """Case from drawings: ``#`` lesion, ``o`` healthy brain, anything else outside."""
    drawn = np.array([[list(row) for row in one.split()] for one in slices])
    return SimpleNamespace(
        image=(drawn != ".")[None].astype(np.float32),
        label=(drawn == "#").astype(np.uint8),
        foreground=None,
        case_id=name,
        patient_id="p",
    )


def make_patches(*cases, patch_px=1, per_case=8, **options):
    """Sampler on drawn cases; patches of one pixel have the positions as corners."""
    options = {"seed": 0, **options}
    store = Store.from_cases(cases, "cpu")
    return BalancedPatches(store, patch_px=patch_px, per_case=per_case, **options)


def block_case(shape, lesion_voxels, name="a", seed=0):
    """Case whose whole image is brain, with its first voxels in raster order as lesion."""
    label = np.zeros(shape, np.uint8)
    label.flat[:lesion_voxels] = 1
    image = np.random.default_rng(seed).normal(size=(1, *shape)).astype(np.float32)
    return SimpleNamespace(image=image, label=label, foreground=None, case_id=name, patient_id="p")


def epoch(patches, number=0, batch=3):
    """All corners and repeat flags of one epoch."""
    steps = patches.steps_per_epoch(batch)
    parts = [patches.batch(number * steps + step, batch) for step in range(steps)]
    return tuple(torch.cat(column) for column in zip(*parts, strict=True))


def rows(positions):
    """Positions as a sorted list of triples."""
    return sorted(map(tuple, positions.tolist()))


SMALL = make_case("##o #oo", "ooo ..o")


class TestPositions:
    def test_a_drawn_case_by_hand(self):
        """3 lesion voxels for 4 places, 7 healthy ones for 4: steps 0, 7/4, 14/4, 21/4."""
        patches = make_patches(SMALL)
        assert patches.positions.tolist() == [
            [0, 0, 0], [0, 0, 1], [0, 1, 0], [0, 0, 0],
            [0, 0, 2], [0, 1, 1], [1, 0, 0], [1, 0, 2],
        ]  # fmt: skip
        assert patches.is_lesion.tolist() == [True] * 4 + [False] * 4
        assert patches.is_repeat.tolist() == [False] * 3 + [True] + [False] * 4

    def test_more_voxels_than_places_are_stepped_through_evenly(self):
        """10 voxels for 4 places are numbers 0, 2, 5 and 7, none of them repeated."""
        index, is_repeat = choose(10, 4)
        assert index.tolist() == [0, 2, 5, 7]
        assert not is_repeat.any()

    def test_fewer_voxels_than_places_are_all_taken_and_the_rest_is_spread(self):
        """4 voxels for 10 places: twice all, then numbers 0 and 2; six are repeats."""
        index, is_repeat = choose(4, 10)
        assert index.tolist() == [0, 1, 2, 3, 0, 1, 2, 3, 0, 2]
        assert is_repeat.tolist() == [False] * 4 + [True] * 6

    @given(count=st.integers(1, 300), wanted=st.integers(0, 300), seed=st.none() | st.integers(0))
    def test_no_voxel_is_taken_twice_more_than_another(self, count, wanted, seed):
        """Whatever the numbers and the selection, the counts differ by one at most."""
        random = None if seed is None else np.random.default_rng(seed)
        index, is_repeat = choose(count, wanted, random)
        taken = np.bincount(index, minlength=count)
        assert len(index) == wanted
        assert taken.max() - taken.min() <= 1
        assert int((~is_repeat).sum()) == np.count_nonzero(taken)

    def test_five_percent_of_the_paper_are_a_deficit_of_200_lesion_voxels(self):
        """1800 lesion voxels for 2000 places: 200 repeats are 10 % of a half, 5 % of all."""
        patches = make_patches(block_case((1, 100, 100), 1800), patch_px=64, per_case=4000)
        assert int(patches.is_repeat.sum()) == 200
        assert patches.is_repeat.float().mean().item() == pytest.approx(0.05)
        assert patches.is_repeat[patches.is_lesion].float().mean().item() == pytest.approx(0.10)

    def test_every_case_counts_the_same_also_of_one_patient(self):
        """94 cases of 4000 are 376,000 (Sec. 3.3); here three of 8, two without lesion."""
        healthy = make_case("ooo ooo", name="b")
        patches = make_patches(healthy, SMALL, healthy)
        assert len(patches.positions) == 24
        assert patches.is_lesion.view(3, 8).sum(1).tolist() == [0, 4, 0]
        assert [int(z) for z in patches.positions[:, 0].view(3, 8)[1].unique()] == [1, 2]

    def test_lesion_outside_the_foreground_is_lesion_all_the_same(self):
        """A masked infarct core, where no map has a value, is not lost."""
        case = make_case("#oo ooo")
        case.image[0, 0, 0, 0] = 0
        assert make_patches(case, per_case=2).positions[0].tolist() == [0, 0, 0]

    def test_negatives_may_lie_in_lesions_if_asked_for(self):
        """Any brain: 10 voxels for 4 places are numbers 0, 2, 5 and 7 of the whole slab."""
        patches = make_patches(SMALL, negatives="any_brain")
        assert patches.positions[4:].tolist() == [[0, 0, 0], [0, 0, 2], [0, 1, 2], [1, 0, 1]]
        assert not patches.is_lesion[4:].any()

    def test_uniform_patches_step_through_the_brain_without_looking_at_the_lesion(self):
        """10 voxels for 5 places: every second one, centred, lesion or not."""
        patches = make_patches(SMALL, per_case=5, kind="uniform", patch_px=4)
        assert patches.positions.tolist() == [
            [0, 0, 0], [0, 0, 2], [0, 1, 1], [1, 0, 0], [1, 0, 2],
        ]  # fmt: skip
        assert not patches.is_lesion.any()
        corners, _ = epoch(patches)
        assert rows(corners) == rows(patches.positions - torch.tensor([0, 2, 2]))

    def test_a_random_selection_is_without_repeats_where_it_can_be(self):
        """7 of 60 voxels, all different, others with another seed, the same with the same."""
        case = block_case((1, 12, 10), 60)
        first, again, other = (
            make_patches(case, per_case=14, selection="random", seed=seed) for seed in (1, 1, 2)
        )
        assert len(first.positions.unique(dim=0)) == 14
        assert torch.equal(first.positions, again.positions)
        assert not torch.equal(first.positions, other.positions)
        regular = make_patches(case, per_case=14)
        assert not torch.equal(first.positions, regular.positions)


class TestPlaces:
    @settings(deadline=None, max_examples=40)
    @given(seed=st.integers(0, 2**32), patch_px=st.integers(1, 9), number=st.integers(0, 3))
    def test_a_sampled_lesion_voxel_is_always_inside_its_patch(self, seed, patch_px, number):
        """Every patch of a lesion voxel holds it, and all others are centred on theirs."""
        case = block_case((2, 8, 9), 30)
        patches = make_patches(case, patch_px=patch_px, per_case=40, seed=seed)
        still = make_patches(case, patch_px=patch_px, per_case=40, seed=seed, offset=False)
        corners, _ = epoch(patches, number)
        centred, _ = epoch(still, number)  # the same order, without offsets
        shift = (centred - corners)[:, 1:] + patch_px // 2
        assert torch.equal(centred[:, 0], corners[:, 0])
        assert ((shift >= 0) & (shift < patch_px)).all()
        voxels = centred + torch.tensor([0, patch_px // 2, patch_px // 2])
        is_lesion = torch.from_numpy(case.label)[tuple(voxels.unbind(1))] > 0
        assert int(is_lesion.sum()) == 20
        assert (shift[~is_lesion] == patch_px // 2).all()

    def test_every_place_of_the_patch_is_used_and_drawn_anew_at_each_visit(self):
        """All 16 places of a 4-px patch, and another one in the next epoch."""
        patches = make_patches(block_case((1, 8, 9), 30), patch_px=4, per_case=800)
        still = make_patches(block_case((1, 8, 9), 30), patch_px=4, per_case=800, offset=False)
        first, second = (
            (epoch(still, number)[0] - epoch(patches, number)[0])[:, 1:] + 2 for number in (0, 1)
        )
        assert len(first.unique(dim=0)) == 16
        assert not torch.equal(first, second)

    def test_the_lesion_share_of_the_voxels_rises_from_5_to_about_12_percent(self):
        """A compact lesion of 5 % of a 200-px brain, in patches of 64 px (Sec. 3 and 3.1)."""
        y, x = np.indices((256, 256)) - 128
        brain = y**2 + x**2 < 100**2
        lesion = (y - 30) ** 2 + (x + 25) ** 2 < 22.4**2
        case = SimpleNamespace(
            image=brain[None, None].astype(np.float32),
            label=lesion[None].astype(np.uint8),
            foreground=None,
            case_id="a",
            patient_id="a",
        )
        assert lesion.sum() / brain.sum() == pytest.approx(0.05, abs=0.001)
        store = Store.from_cases([case], "cpu")
        patches = BalancedPatches(store, patch_px=64, per_case=1000, seed=0)
        share = store.window(patches.batch(0, 1000).corners, 64)[1].float().mean().item()
        assert share == pytest.approx(0.12, abs=0.03)


class TestBatches:
    @settings(deadline=None, max_examples=40)
    @given(per_case=st.integers(2, 30), batch=st.integers(1, 25), number=st.integers(0, 5))
    def test_an_epoch_visits_every_position_once(self, per_case, batch, number):
        """Whatever the batch size, with the flag of the position."""
        patches = make_patches(SMALL, make_case("ooo"), per_case=per_case)
        corners, is_repeat = epoch(patches, number, batch)
        visited = torch.cat([corners, is_repeat[:, None]], dim=1)
        listed = torch.cat([patches.positions, patches.is_repeat[:, None]], dim=1)
        assert rows(visited) == rows(listed)

    def test_the_last_batch_of_an_epoch_holds_the_rest(self):
        """16 positions in batches of 6 are 6, 6 and 4; the next epoch starts full."""
        patches = make_patches(SMALL, SMALL)
        sizes = [len(patches.batch(index, 6).corners) for index in range(5)]
        assert patches.steps_per_epoch(6) == 3
        assert sizes == [6, 6, 4, 6, 6]
        assert patches.steps_per_epoch(16) == 1

    def test_a_fold_of_the_paper_has_4688_steps_an_epoch(self):
        """75 cases of 4000 in batches of 64 (the last one holds 32)."""
        patches = make_patches(*[block_case((1, 40, 40), 9)] * 75, per_case=4000)
        assert patches.steps_per_epoch(64) == 4688
        assert len(patches.batch(4687, 64).corners) == 32

    def test_a_batch_depends_on_seed_and_number_alone(self):
        """A new sampler, asked in another order, gives the same batches: nothing to restore."""
        case = block_case((1, 9, 9), 20)
        first = make_patches(case, patch_px=5, per_case=20)
        wanted = {index: first.batch(index, 7) for index in range(9)}
        resumed = make_patches(case, patch_px=5, per_case=20)
        for index in (8, 3, 4, 0, 7):
            for ours, theirs in zip(resumed.batch(index, 7), wanted[index], strict=True):
                assert torch.equal(ours, theirs)
        other = make_patches(case, patch_px=5, per_case=20, seed=1)
        assert not torch.equal(other.batch(0, 7).corners, wanted[0].corners)

    def test_epochs_have_different_orders(self):
        """The second epoch is no repetition of the first."""
        patches = make_patches(block_case((1, 9, 9), 20), per_case=40)
        assert not torch.equal(epoch(patches, 0)[0], epoch(patches, 1)[0])

    def test_a_changed_batch_leaves_the_sampler_as_it_is(self):
        """Writing into the corners of a batch does not move the next visit."""
        patches = make_patches(SMALL)
        corners = patches.batch(0, 4).corners
        expected = corners.clone()
        corners += 100
        assert torch.equal(patches.batch(0, 4).corners, expected)


class TestRefusals:
    def test_a_case_without_negatives_is_named(self):
        """All of its foreground is lesion."""
        with pytest.raises(InputError, match="case b without foreground to draw negatives"):
            make_patches(SMALL, make_case("##. ...", name="b"))

    @pytest.mark.parametrize(
        "options", [{"kind": "balance"}, {"selection": "raster"}, {"negatives": "sick"}]
    )
    def test_an_unknown_option_lists_the_known_ones(self, options):
        """A typing error is not a default."""
        with pytest.raises(UsageError, match="expected one of"):
            make_patches(SMALL, **options)

    @pytest.mark.parametrize("options", [{"patch_px": 0}, {"per_case": 1}])
    def test_sizes_are_positive_and_a_half_needs_two(self, options):
        """One position a case cannot be balanced."""
        with pytest.raises(UsageError, match="a case"):
            make_patches(SMALL, **options)
