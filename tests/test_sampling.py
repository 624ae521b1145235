from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy import stats

from strokerepro.errors import InputError, UsageError
from strokerepro.sampling import PatchSampler
from strokerepro.store import Store

PATCH, WINDOW = 8, 12


def make_case(label, *, case_id="a"):
    """Stand-in for a prepared case: random image, given mask."""
    label = np.asarray(label, dtype=np.uint8)
    image = np.random.default_rng(0).normal(size=(1, *label.shape)).astype(np.float32)
    return SimpleNamespace(
        image=image, label=label, foreground=None, case_id=case_id, patient_id=case_id
    )


def generator(seed=0):
    """Seeded source of randomness."""
    return torch.Generator().manual_seed(seed)


def make_store():
    """Patient p: a 20-px blob and a 1-px blob in slice 0. Patient q: 4 px. Patient r: none."""
    labels = np.zeros((3, 2, 16, 16), dtype=np.uint8)
    labels[0, 0, 2:6, 3:8] = 1
    labels[0, 0, 12, 12] = 1
    labels[1, 1, 8:10, 8:10] = 1
    cases = [make_case(label, case_id=name) for label, name in zip(labels, "pqr", strict=True)]
    return Store.from_cases(cases, "cpu")


def make_sampler(kind="pixel", store=None, seed=0, negative_fraction=0.0, patch=PATCH):
    """Sampler whose window is 4 px larger than its patch."""
    store = store or make_store()
    window = patch + WINDOW - PATCH
    return PatchSampler(store, kind, patch, window, negative_fraction, generator(seed))


def pixel_sampler(kind, negative_fraction=0.0, seed=0):
    """Sampler with patches of one pixel, whose corners are therefore the drawn pixels."""
    return PatchSampler(make_store(), kind, 1, 1, negative_fraction, generator(seed))


def count_by_lesion(pixels):
    """Draws from the 20-px blob, the single pixel and the 4-px blob."""
    index, y, _ = pixels.unbind(1)
    groups = ((index == 0) & (y < 10), (index == 0) & (y > 10), index == 3)
    return [int(group.sum()) for group in groups]


class TestKinds:
    def test_every_lesion_pixel_is_equally_likely(self):
        """Pixel sampling: 25 lesion pixels, each drawn 1/25 of the time (chi-square)."""
        pixels = pixel_sampler("pixel").corners(5000)
        values, counts = torch.unique(pixels, dim=0, return_counts=True)
        assert torch.equal(values, make_store().lesions.pixels.unique(dim=0))
        assert stats.chisquare(counts.numpy()).pvalue > 0.01

    def test_a_blob_of_20_px_is_drawn_20_times_as_often_as_one_of_1_px(self):
        """The paper's sampler favours large lesions in proportion to their area."""
        blob, dot, _ = count_by_lesion(pixel_sampler("pixel").corners(20000))
        assert blob / dot == pytest.approx(20, rel=0.1)

    @pytest.mark.parametrize(
        ("kind", "shares"),
        [("lesion", [1 / 3, 1 / 3, 1 / 3]), ("subject", [0.5 * 20 / 21, 0.5 / 21, 0.5])],
    )
    def test_groups_are_drawn_uniformly_then_their_pixels(self, kind, shares):
        """Three lesions a third each; two patients with a lesion a half each, none for r."""
        counts = count_by_lesion(pixel_sampler(kind).corners(6000))
        assert sum(counts) == 6000
        assert stats.chisquare(counts, np.array(shares) * 6000).pvalue > 0.01

    def test_pixels_of_one_lesion_are_equally_likely_under_lesion_sampling(self):
        """Within the 20-px blob no pixel is preferred."""
        pixels = pixel_sampler("lesion").corners(9000)
        in_blob = (pixels[:, 0] == 0) & (pixels[:, 1] < 10)
        _, counts = torch.unique(pixels[in_blob], dim=0, return_counts=True)
        assert len(counts) == 20
        assert stats.chisquare(counts.numpy()).pvalue > 0.01

    def test_whole_slices_are_centred_and_contain_lesion(self):
        """Slices 0 and 3, equally often, the 16-px slice in the middle of the window."""
        corners = make_sampler("slice", patch=20).corners(1000)
        assert set(corners[:, 0].tolist()) == {0, 3}
        assert (corners[:, 0] == 0).float().mean().item() == pytest.approx(0.5, abs=0.05)
        assert corners[:, 1:].unique().tolist() == [-4]  # window 24 px around 16 px

    def test_smaller_slices_are_centred_on_themselves(self):
        """A 5 x 8 case beside a larger one is centred by its own size."""
        cases = [make_case(np.ones((1, 5, 8))), make_case(np.zeros((1, 10, 10)), case_id="b")]
        sampler = make_sampler("slice", Store.from_cases(cases, "cpu"), patch=10)
        assert sampler.corners(1).tolist() == [[0, 2 - 7, 4 - 7]]


class TestPlace:
    def test_the_drawn_pixel_is_uniform_in_the_central_patch(self):
        """One lesion pixel at (6, 9): all 64 places of the 8-px patch, none outside it."""
        label = np.zeros((1, 16, 16))
        label[0, 6, 9] = 1
        store = Store.from_cases([make_case(label)], "cpu")
        corners = make_sampler(store=store).corners(6400)
        place = torch.tensor([6, 9]) - corners[:, 1:] - (WINDOW - PATCH) // 2
        values, counts = torch.unique(place, dim=0, return_counts=True)
        assert values.tolist() == [[y, x] for y in range(PATCH) for x in range(PATCH)]
        assert stats.chisquare(counts.numpy()).pvalue > 0.01

    def test_every_unrotated_patch_contains_lesion(self):
        """No lesion-free patch is drawn unless negatives are asked for."""
        sampler = make_sampler()
        border = torch.tensor([0, 2, 2])  # (12 - 8) / 2
        _, labels = make_store().window(sampler.corners(500) + border, PATCH)
        assert labels.flatten(1).any(dim=1).all()

    def test_with_a_quarter_turn_the_place_turns_along(self):
        """A pixel wanted at (q_y, q_x) after 90 degrees is cut at (q_x, -q_y) before."""
        still, turned = make_sampler(seed=3), make_sampler(seed=3)
        centre = (WINDOW - 1) / 2
        pixels = pixel_sampler("pixel", seed=3).corners(50)[:, 1:]
        wanted = pixels - still.corners(50)[:, 1:] - centre
        place = pixels - turned.corners(50, torch.full((50,), np.pi / 2))[:, 1:] - centre
        assert torch.equal(place, torch.stack([wanted[:, 1], -wanted[:, 0]], dim=1))


class TestNegatives:
    @pytest.mark.parametrize(
        ("fraction", "expected"), [(0.1, {2}), (0.5, {10}), (0.13, {2, 3}), (1.0, {20})]
    )
    def test_each_batch_has_its_share_of_negatives(self, fraction, expected):
        """Of 20 windows 10 % are 2; 13 % are 2 or 3, and 2.6 on average."""
        sampler = pixel_sampler("pixel", fraction)
        store = make_store()
        found = [int((store.window(sampler.corners(20), 1)[1] == 0).sum()) for _ in range(400)]
        assert set(found) == expected
        assert np.mean(found) == pytest.approx(20 * fraction, abs=0.1)

    def test_negatives_are_foreground_pixels_outside_lesions(self):
        """Only the two pixels that are neither background nor lesion, equally often."""
        case = make_case(np.zeros((1, 6, 6)))
        case.image[:] = 0
        case.image[0, 0, 1, 1:4] = 1
        case.label[0, 1, 1] = 1
        store = Store.from_cases([case], "cpu")
        corners = PatchSampler(store, "pixel", 1, 1, 1.0, generator()).corners(1000)
        values, counts = torch.unique(corners, dim=0, return_counts=True)
        assert values.tolist() == [[0, 1, 2], [0, 1, 3]]
        assert stats.chisquare(counts.numpy()).pvalue > 0.01

    def test_negative_slices_are_those_without_lesion(self):
        """Whole slices: 0 and 3 hold lesion, so negatives are 1, 2, 4 and 5."""
        corners = make_sampler("slice", negative_fraction=1.0, patch=16).corners(200)
        assert set(corners[:, 0].tolist()) == {1, 2, 4, 5}

    def test_nothing_to_draw_negatives_from_is_an_error(self):
        """A cohort whose whole foreground is lesion has no negatives."""
        store = Store.from_cases([make_case(np.ones((1, 4, 4)))], "cpu")
        with pytest.raises(InputError, match="no foreground without lesion"):
            PatchSampler(store, "pixel", 4, 4, 0.1, generator())


class TestGenerator:
    def test_a_restored_generator_state_continues_the_same_draws(self):
        """The generator is the sampler's only state."""
        sampler = make_sampler(negative_fraction=0.3)
        sampler.corners(7)
        state = sampler.generator.get_state()
        expected = sampler.corners(9)
        resumed = make_sampler(negative_fraction=0.3, seed=99)
        resumed.generator.set_state(state)
        assert torch.equal(resumed.corners(9), expected)

    def test_seeds_matter(self):
        """Another seed, another batch."""
        assert not torch.equal(make_sampler(seed=1).corners(9), make_sampler(seed=2).corners(9))


class TestRefusals:
    def test_a_store_without_lesions_cannot_be_sampled(self):
        """The error says how many cases were searched."""
        store = Store.from_cases([make_case(np.zeros((1, 4, 4)))], "cpu")
        with pytest.raises(InputError, match="1 cases without a single lesion pixel"):
            make_sampler(store=store)

    def test_an_unknown_kind_lists_the_known_ones(self):
        """A typing error is answered with the nearest name."""
        with pytest.raises(UsageError, match="did you mean lesion"):
            make_sampler("lesions")

    @pytest.mark.parametrize(("patch", "window"), [(8, 6), (8, 11), (0, 4)])
    def test_a_window_must_hold_the_patch_at_its_centre(self, patch, window):
        """Too small, off-centre by half a pixel, or empty."""
        with pytest.raises(UsageError, match=f"patch_px={patch} in window_px={window}"):
            PatchSampler(make_store(), "pixel", patch, window, 0.0, generator())

    def test_a_whole_slice_needs_a_patch_that_covers_it(self):
        """8 px cannot be the whole of a 16-px slice."""
        with pytest.raises(UsageError, match="whole slices of up to 16 px"):
            make_sampler("slice")

    @pytest.mark.parametrize("fraction", [-0.1, 1.5])
    def test_a_fraction_is_between_0_and_1(self, fraction):
        """Percentages are a common slip."""
        with pytest.raises(UsageError, match="negative_fraction"):
            make_sampler(negative_fraction=fraction)
