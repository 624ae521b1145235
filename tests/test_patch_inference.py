"""Overlapping patches equal a slow reference; noisy passes equal whole passes; limits hold."""

from __future__ import annotations

import itertools
import weakref

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lightning_fabric import Fabric
from torch import Tensor, nn

from strokerepro.errors import InputError, UsageError
from strokerepro.inference import lesion_probability, monte_carlo, patches, predict_patches
from strokerepro.networks import build_network

CPU = Fabric(accelerator="cpu", devices=1, precision="32-true")
Volume = np.ndarray


def _seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _network(channels: int = 2) -> nn.Module:
    """Logits that depend on where in its patch a pixel lies: overlap matters."""
    torch.manual_seed(0)
    return nn.Conv2d(channels, 2, 5, padding=2)


def _image(channels: int = 2, depth: int = 3, height: int = 21, width: int = 26) -> Volume:
    rng = np.random.default_rng(0)
    return rng.normal(size=(channels, depth, height, width)).astype(np.float32)


def _ellipse(depth: int = 3, height: int = 21, width: int = 26) -> Volume:
    z, y, x = np.indices((depth, height, width))
    radius = ((y - height / 2) / (height / 2.5)) ** 2 + ((x - width / 2) / (width / 2.5)) ** 2
    return (radius < 1) & (z < depth - 1)


def _centres(foreground: Volume, step: int) -> list[tuple[int, int, int]]:
    depth, height, width = foreground.shape
    places = itertools.product(range(depth), range(0, height, step), range(0, width, step))
    return [place for place in places if foreground[place]]


def _slow(
    network: nn.Module, image: Volume, foreground: Volume, patch: int, centres: list
) -> Volume:
    """One patch after the other, pixel by pixel into a padded volume."""
    half = patch // 2
    _, depth, height, width = image.shape
    total, votes = np.zeros((2, depth, height + 2 * patch, width + 2 * patch))
    padded = np.pad(image, ((0, 0), (0, 0), (patch, patch), (patch, patch)))
    for z, y, x in centres:
        rows, columns = (
            slice(y + patch - half, y + 2 * patch - half),
            slice(x + patch - half, x + 2 * patch - half),
        )
        with torch.no_grad():
            logits = network(torch.from_numpy(padded[None, :, z, rows, columns]))
        total[z, rows, columns] += logits.softmax(dim=1)[0, 1].numpy()
        votes[z, rows, columns] += 1
    inside = (slice(None), slice(patch, patch + height), slice(patch, patch + width))
    mean = total[inside] / np.maximum(votes[inside], 1)
    return np.where(foreground, mean, 0)


@pytest.mark.parametrize("batch", [1, 7, None])
@pytest.mark.parametrize(("patch", "step"), [(8, 4), (8, 3), (9, 4), (16, 5), (6, 1)])
def test_equal_to_one_patch_after_the_other(patch: int, step: int, batch: int | None) -> None:
    """Even and odd patches, steps that divide neither image nor patch, any batch."""
    network, image, foreground = _network(), _image(), _ellipse()
    found = predict_patches(
        lambda x: {"a": network(x)}, image, foreground, CPU, patch_px=patch, step_px=step,
        batch=batch,
    )  # fmt: skip
    expected = _slow(network, image, foreground, patch, _centres(foreground, step))
    assert found["a"].dtype == np.float32
    np.testing.assert_allclose(found["a"], expected, atol=2e-7)
    assert (found["a"][foreground] > 0).all()


def test_patches_at_the_border_see_zeros() -> None:
    """A foreground up to the edges of the image is predicted from patches that reach beyond."""
    network, image = _network(), _image()
    foreground = np.ones(image.shape[1:], dtype=bool)
    seen = []

    def record(x: Tensor) -> dict[str, Tensor]:
        seen.append(x.clone())
        return {"a": network(x)}

    found = predict_patches(record, image, foreground, CPU, patch_px=8, step_px=4)["a"]
    np.testing.assert_allclose(
        found, _slow(network, image, foreground, 8, _centres(foreground, 4)), atol=2e-7
    )
    corner = seen[0][0].numpy()  # centred on the first pixel, which is its pixel (4, 4)
    assert (corner[:, :4] == 0).all()
    assert (corner[:, :, :4] == 0).all()
    np.testing.assert_array_equal(corner[:, 4:, 4:], image[:, 0, :4, :4])


def test_only_the_foreground_is_predicted() -> None:
    """No patch is centred outside, no slice without foreground is touched, all else is 0."""
    network, image, foreground = _network(), _image(), _ellipse()
    count = 0

    def passes(x: Tensor) -> dict[str, Tensor]:
        nonlocal count
        count += len(x)
        return {"a": network(x)}

    found = predict_patches(passes, image, foreground, CPU, patch_px=8, step_px=2)["a"]
    assert count == len(_centres(foreground, 2)) == foreground[:, ::2, ::2].sum()
    assert (found[~foreground] == 0).all()
    assert not found[-1].any()


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**31 - 1),
    share=st.sampled_from([0.01, 0.1, 0.6]),
    patch=st.integers(2, 12),
    data=st.data(),
)
def test_no_foreground_voxel_is_left_out(
    seed: int, share: float, patch: int, data: st.DataObject
) -> None:
    """Voxels that no centre on the grid reaches get a patch of their own: votes are never 0."""
    step = data.draw(st.integers(1, patch // 2))
    foreground = np.random.default_rng(seed).random((2, 17, 15)) < share
    found = predict_patches(
        lambda x: {"one": x.new_ones(len(x), patch, patch)},
        np.zeros((1, *foreground.shape), dtype=np.float32),
        foreground,
        CPU,
        patch_px=patch,
        step_px=step,
    )
    np.testing.assert_array_equal(found["one"], foreground)
    corners = patches.patch_corners(foreground, patch, step)
    assert {tuple(c) for c in corners} >= set(_centres(foreground, step))
    assert (corners[:, 1:] % step == 0).all()


def test_a_single_voxel_off_the_grid() -> None:
    """One voxel at (5, 7) with a step of 4 is predicted by the patch centred on (4, 4)."""
    foreground = np.zeros((1, 16, 16), dtype=bool)
    foreground[0, 5, 7] = True
    assert patches.patch_corners(foreground, 8, 4).tolist() == [[0, 4, 4]]


def test_without_foreground_all_is_zero() -> None:
    """An empty mask gives empty maps under their names."""
    network, image = build_network("core_resnet", in_channels=2).eval(), _image()
    nothing = np.zeros(image.shape[1:], dtype=bool)
    found = predict_patches(
        lambda x: {"a": network(x)}, image, nothing, CPU, patch_px=16, step_px=8
    )
    assert found["a"].shape == nothing.shape
    assert not found["a"].any()


def test_probabilities_and_logits_are_the_same() -> None:
    """A map (B, p, p) is taken as it is, a map (B, 2, p, p) as logits; names are kept apart."""
    network, image, foreground = _network(), _image(), _ellipse()

    def passes(x: Tensor) -> dict[str, Tensor]:
        logits = network(x)
        return {"logits": logits, "p": lesion_probability(logits), "other": -logits}

    found = predict_patches(passes, image, foreground, CPU, patch_px=8, step_px=4)
    np.testing.assert_array_equal(found["logits"], found["p"])
    np.testing.assert_allclose((found["p"] + found["other"])[foreground], 1, atol=1e-6)


def test_image_and_foreground_are_left_as_they_are() -> None:
    """A function that writes into its patches does not change the image."""
    image, foreground = _image(), _ellipse()
    kept = image.copy(), foreground.copy()
    predict_patches(
        lambda x: {"a": x.zero_()[:, :2]}, image, foreground, CPU, patch_px=8, step_px=4
    )
    np.testing.assert_array_equal(image, kept[0])
    np.testing.assert_array_equal(foreground, kept[1])


def test_patches_come_channels_last_without_gradient_and_in_autocast() -> None:
    """What the network gets suits it, and nothing can be trained by accident."""
    mixed = Fabric(accelerator="cpu", devices=1, precision="bf16-mixed")
    network, image, foreground = _network(), _image(), _ellipse()
    kinds = set()

    def passes(x: Tensor) -> dict[str, Tensor]:
        logits = network(x)
        last = x.is_contiguous(memory_format=torch.channels_last)
        kinds.add((x.dtype, last, logits.dtype, logits.requires_grad))
        return {"a": logits}

    half = predict_patches(passes, image, foreground, mixed, patch_px=8, step_px=4)["a"]
    full = predict_patches(passes, image, foreground, CPU, patch_px=8, step_px=4)["a"]
    assert kinds == {
        (torch.float32, True, torch.bfloat16, False), (torch.float32, True, torch.float32, False)
    }  # fmt: skip
    assert half.dtype == np.float32
    np.testing.assert_allclose(half, full, atol=0.02)


def test_memory_is_that_of_a_batch() -> None:
    """No more than a batch is cut at once, and none of the earlier patches or maps is kept."""
    alive: list[weakref.ref] = []
    most = 0

    def passes(x: Tensor) -> dict[str, Tensor]:
        nonlocal most
        logits = x[:, :2].clone()
        most = max(most, sum(reference() is not None for reference in alive))
        alive.extend((weakref.ref(x), weakref.ref(logits)))
        assert len(x) <= 5
        return {"a": logits}

    predict_patches(passes, _image(), _ellipse(), CPU, patch_px=8, step_px=1, batch=5)
    assert len(alive) > 50
    assert most <= 1  # the maps before, until these replace them


class TestOnOtherDevices:
    """What runs on a GPU, compared on the CPU with what runs there."""

    def test_the_gather_is_the_copies(self) -> None:
        """Both ways of cutting give the same patches."""
        padded = torch.randn(3, 20, 22, 4, generator=_seeded())
        corners = torch.tensor([[0, 0, 0], [2, 12, 14], [1, 3, 5]])
        copied = patches._copy_patches(padded, corners, 8)
        assert torch.equal(copied, patches._gather_patches(padded, corners, 8))
        assert copied.shape == (3, 8, 8, 4)

    def test_adding_by_index_is_adding_slices(self) -> None:
        """Both ways of accumulating give the same sums, also of patches that overlap."""
        corners = torch.tensor([[0, 0, 0], [0, 2, 3], [2, 12, 14], [1, 3, 5]])
        values = torch.randn(4, 8, 8, generator=_seeded())
        sums = [torch.zeros(3, 20, 22) for _ in range(2)]
        patches._add_slices(sums[0], corners, values)
        patches._add_by_index(sums[1], corners, values)
        torch.testing.assert_close(*sums)

    @pytest.mark.gpu
    @pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
    def test_gpu_and_cpu_predict_the_same(self) -> None:
        """The same network and volume give the same probabilities on both devices."""
        found = []
        for kind in ("cpu", "cuda"):
            fabric = Fabric(accelerator=kind, devices=1, precision="32-true")
            network = _network().to(fabric.device)
            passes = lambda x, network=network: {"a": network(x)}  # noqa: E731
            found.append(
                predict_patches(passes, _image(), _ellipse(), fabric, patch_px=8, step_px=4)["a"]
            )
        np.testing.assert_allclose(*found, atol=1e-4)


@pytest.mark.parametrize(
    ("patch", "step", "batch"), [(8, 5, None), (8, 0, None), (8, -1, None), (8, 4, 0), (1, 1, None)]
)
def test_steps_that_leave_gaps_are_refused(patch: int, step: int, batch: int | None) -> None:
    """A step above half the patch, none at all, or an empty batch names the numbers."""
    with pytest.raises(UsageError, match=f"step_px={step}, patch_px={patch}"):
        predict_patches(
            lambda x: {"a": x}, _image(), _ellipse(), CPU, patch_px=patch, step_px=step, batch=batch
        )


@pytest.mark.parametrize(
    "foreground", [np.ones((3, 21, 25), dtype=bool), np.ones((3, 21, 26), dtype=np.uint8)]
)
def test_a_foreground_that_does_not_fit_is_refused(foreground: Volume) -> None:
    """Another shape, or a mask of numbers instead of truth values, is one line."""
    with pytest.raises(InputError, match="foreground"):
        predict_patches(lambda x: {"a": x}, _image(), foreground, CPU, patch_px=8, step_px=4)


@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 8, 8), (8, 8), (2, 4, 4)])
def test_a_map_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    """Three classes, a channel axis of one or a smaller map is named with its name."""
    with pytest.raises(InputError, match="map 'edges' of shape"):
        predict_patches(
            lambda x: {"edges": x.new_zeros(len(x), *shape) if len(shape) == 3 else x[0, 0]},
            _image(), _ellipse(), CPU, patch_px=8, step_px=4,
        )  # fmt: skip


class TestMonteCarlo:
    def _network(self, **overrides: object) -> nn.Module:
        options = {"in_channels": 2, "base_filters": 2, "generator": _seeded(), **overrides}
        return build_network("core_resnet", **options).eval()

    @pytest.mark.parametrize("passes", [1, 3])
    def test_it_is_the_mean_of_whole_passes(self, passes: int) -> None:
        """Passes from one prefix have the mean probability of passes from the image on."""
        network, image = self._network(), torch.randn(2, 2, 32, 32, generator=_seeded(1))
        found = monte_carlo(network, network.prefix(image), passes, generator=_seeded(2))
        noise = _seeded(2)
        whole = [
            network.suffix(network.prefix(image), True, noise).softmax(1)[:, 1]
            for _ in range(passes)
        ]
        torch.testing.assert_close(found, torch.stack(whole).mean(0))
        assert found.shape == (2, 32, 32)
        assert found.dtype == torch.float32

    def test_the_prefix_runs_once(self) -> None:
        """Three passes call the first convolution once and the last one three times."""
        network, calls = self._network(), []
        network.stem.register_forward_hook(lambda *_: calls.append("stem"))
        network.head.register_forward_hook(lambda *_: calls.append("head"))
        monte_carlo(network, network.prefix(torch.zeros(1, 2, 16, 16)), 3)
        assert calls == ["stem", "head", "head", "head"]

    def test_the_rate_is_that_of_the_call(self) -> None:
        """A rate of 0 is the plain network, another rate other noise."""
        network, image = self._network(), torch.randn(2, 2, 32, 32, generator=_seeded(1))
        state = network.prefix(image)
        plain = monte_carlo(network, state, 3, rate=0.0)
        torch.testing.assert_close(plain, lesion_probability(network(image)))
        some, more = (
            monte_carlo(network, state, 3, generator=_seeded(), rate=rate) for rate in (0.1, 0.5)
        )
        assert not torch.allclose(some, more)

    def test_a_case_is_predicted_the_same_twice(self) -> None:
        """One seed, one map, through overlapping patches."""
        network, image, foreground = self._network(), _image(), _ellipse()

        def predict() -> Volume:
            noise = _seeded(4)
            return predict_patches(
                lambda x: {"uf": monte_carlo(network, network.prefix(x), 3, generator=noise)},
                image, foreground, CPU, patch_px=16, step_px=4,
            )["uf"]  # fmt: skip

        np.testing.assert_array_equal(predict(), predict())

    def test_no_pass_is_refused(self) -> None:
        """Zero passes have no mean."""
        network = self._network()
        with pytest.raises(UsageError, match="0 passes"):
            monte_carlo(network, network.prefix(torch.zeros(1, 2, 16, 16)), 0)
