"""Shared blocks: pooling and unpooling, batch normalisation, initialisation, refusals."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch import Tensor, nn
from torch.nn import functional

from strokerepro.errors import InputError, UsageError
from strokerepro.networks.batch_norm import BatchNorm, CaffeBatchNorm2d
from strokerepro.networks.blocks import (
    Deconv2d,
    Encoder,
    conv_bn_relu,
    initialise_caffe_xavier,
    require_multiple,
    stack_widths,
    unpool,
)

# Two windows above, two below. The upper right and the lower left window are ties throughout,
# the lower right one is a tie of its lower row.
DRAWN = torch.tensor(
    [
        [1.0, 5.0, 2.0, 2.0],
        [3.0, 0.0, 2.0, 2.0],
        [0.0, 0.0, 7.0, 8.0],
        [0.0, 0.0, 9.0, 9.0],
    ]
)[None, None]
DRAWN_MAXIMA = torch.tensor([[5.0, 2.0], [0.0, 9.0]])[None, None]
DRAWN_INDICES = torch.tensor([[1, 2], [8, 14]])[None, None]
DRAWN_UNPOOLED = torch.tensor(
    [
        [0.0, 5.0, 2.0, 0.0],
        [0.0, 0.0, 0.0, 0.0],
        [0.0, 0.0, 0.0, 0.0],
        [0.0, 0.0, 9.0, 0.0],
    ]
)[None, None]

LAYOUTS = [
    pytest.param(dtype, memory_format, id=f"{dtype}-{memory_format}".replace("torch.", ""))
    for dtype in (torch.float32, torch.float64, torch.bfloat16)
    for memory_format in (torch.contiguous_format, torch.channels_last)
]


def _pool_by_hand(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Maxima and flat indices of 2x2 windows by a strict ">" scan, as Caffe does."""
    batch, channels, rows, columns = image.shape
    maxima = np.empty((batch, channels, rows // 2, columns // 2), image.dtype)
    indices = np.empty(maxima.shape, np.int64)
    for b, c, i, j in np.ndindex(maxima.shape):
        best = -np.inf
        for y in (2 * i, 2 * i + 1):
            for x in (2 * j, 2 * j + 1):
                if image[b, c, y, x] > best:
                    best = image[b, c, y, x]
                    indices[b, c, i, j] = y * columns + x
        maxima[b, c, i, j] = best
    return maxima, indices


def _pool_in_encoder(image: Tensor) -> tuple[Tensor, Tensor]:
    """The pooling that the encoder does, with stacks that change nothing."""
    encoder = Encoder(image.shape[1], (1, 1), (image.shape[1],) * 2, BatchNorm())
    encoder.stacks = nn.ModuleList([nn.Identity(), nn.Identity()])
    features, pooling_indices = encoder(image)
    return features[1], pooling_indices[0]


class TestUnpool:
    @pytest.mark.parametrize(("dtype", "memory_format"), LAYOUTS)
    def test_indices_put_the_first_maximum_back(
        self, dtype: torch.dtype, memory_format: torch.memory_format
    ) -> None:
        """The drawn map is pooled and unpooled as by hand; of equal values the first wins."""
        image = DRAWN.repeat(2, 3, 1, 1).to(dtype=dtype, memory_format=memory_format)
        maxima, indices = _pool_in_encoder(image)
        assert torch.equal(maxima, DRAWN_MAXIMA.to(dtype).expand_as(maxima))
        assert torch.equal(indices, DRAWN_INDICES.expand_as(indices))
        unpooled = unpool(maxima, indices, "indices")
        assert torch.equal(unpooled, DRAWN_UNPOOLED.to(dtype).expand_as(unpooled))

    @settings(max_examples=25, deadline=None)
    @given(
        values=hnp.arrays(
            np.float32, st.just((2, 3, 6, 8)), elements=st.integers(-1, 2).map(float)
        ),
        channels_last=st.booleans(),
        dtype=st.sampled_from([torch.float32, torch.bfloat16]),
    )
    def test_ties_as_in_caffe(
        self, values: np.ndarray, channels_last: bool, dtype: torch.dtype
    ) -> None:
        """On maps full of ties, pooling gives the indices of a strict ">" scan."""
        layout = torch.channels_last if channels_last else torch.contiguous_format
        image = torch.from_numpy(values).to(dtype=dtype, memory_format=layout)
        maxima, indices = _pool_in_encoder(image)
        expected_maxima, expected_indices = _pool_by_hand(values)
        assert np.array_equal(maxima.float().numpy(), expected_maxima)
        assert np.array_equal(indices.numpy(), expected_indices)
        unpooled = unpool(maxima, indices, "indices").float().numpy().reshape(2, 3, -1)
        expected = np.zeros_like(unpooled)
        np.put_along_axis(
            expected, expected_indices.reshape(2, 3, -1), expected_maxima.reshape(2, 3, -1), 2
        )
        assert np.array_equal(unpooled, expected)

    def test_indices_are_those_of_each_channel(self) -> None:
        """Two channels with the same maxima at other places are unpooled to other places."""
        first, second = torch.zeros(2, 2), torch.zeros(2, 2)
        first[0, 1], second[1, 0] = 4.0, 4.0
        image = torch.stack([first, second])[None]
        assert torch.equal(unpool(*_pool_in_encoder(image), "indices"), image)

    def test_indices_pass_the_gradient_from_where_the_value_went(self) -> None:
        """The gradient of an unpooled map, read at the recorded places, is the input's."""
        values = DRAWN_MAXIMA.clone().requires_grad_()
        upstream = torch.arange(16.0).reshape(1, 1, 4, 4)
        unpool(values, DRAWN_INDICES, "indices").backward(upstream)
        assert torch.equal(values.grad, DRAWN_INDICES.float())

    def test_other_modes_by_hand(self) -> None:
        """Nearest repeats, top-left ignores the indices, bilinear weighs 9:3:3:1."""
        values = torch.tensor([[4.0, 8.0], [0.0, 16.0]])[None, None]
        nearest = [[4, 4, 8, 8], [4, 4, 8, 8], [0, 0, 16, 16], [0, 0, 16, 16]]
        corner = [[4, 0, 8, 0], [0, 0, 0, 0], [0, 0, 16, 0], [0, 0, 0, 0]]
        assert unpool(values, DRAWN_INDICES, "nearest")[0, 0].tolist() == nearest
        assert unpool(values, DRAWN_INDICES, "fixed_topleft")[0, 0].tolist() == corner
        bilinear = unpool(values, DRAWN_INDICES, "bilinear")[0, 0]
        assert bilinear[0, 0] == 4.0
        assert bilinear[1, 1] == (9 * 4 + 3 * 8 + 3 * 0 + 1 * 16) / 16

    @pytest.mark.parametrize("mode", ["indices", "nearest", "bilinear", "fixed_topleft"])
    def test_memory_format_is_kept(self, mode: str) -> None:
        """A channels-last map stays channels-last, so that no layer has to copy it."""
        image = torch.rand(2, 4, 8, 8).to(memory_format=torch.channels_last)
        unpooled = unpool(*_pool_in_encoder(image), mode)
        assert unpooled.shape == image.shape
        assert unpooled.is_contiguous(memory_format=torch.channels_last)


class TestBatchNorm:
    def test_training_normalises_without_scale(self) -> None:
        """A channel 0, 2, 4, 6 becomes (x - 3) / sqrt(5 + eps); nothing is learned."""
        layer = CaffeBatchNorm2d(1)
        x = torch.tensor([0.0, 2.0, 4.0, 6.0]).reshape(2, 1, 1, 2)
        expected = (x - 3.0) / math.sqrt(5.0 + 1e-5)
        assert torch.allclose(layer(x), expected, atol=1e-6)
        assert list(layer.parameters()) == []

    def test_affine_learns_scale_and_offset(self) -> None:
        """With `affine` there are two numbers per channel, 1 and 0 at first."""
        layer = BatchNorm(affine=True).layer(3)
        assert [p.tolist() for p in layer.parameters()] == [[1.0] * 3, [0.0] * 3]

    @pytest.mark.parametrize("momentum", [0.001, 0.1])
    def test_statistics_after_one_step_are_the_batch(self, momentum: float) -> None:
        """After a single step the running statistics are mean 3 and unbiased variance 20/3."""
        layer = CaffeBatchNorm2d(1, momentum=momentum)
        layer(torch.tensor([0.0, 2.0, 4.0, 6.0]).reshape(2, 1, 1, 2))
        mean, variance = layer.running_statistics()
        assert mean.item() == pytest.approx(3.0, rel=1e-5)
        assert variance.item() == pytest.approx(20.0 / 3.0, rel=1e-5)

    @settings(max_examples=20, deadline=None)
    @given(steps=st.integers(1, 30), momentum=st.floats(0.001, 0.5), seed=st.integers(0, 2**31 - 1))
    def test_statistics_are_caffes(self, steps: int, momentum: float, seed: int) -> None:
        """Running statistics equal Caffe's decaying sum divided by its decaying count."""
        generator = torch.Generator().manual_seed(seed)
        layer = CaffeBatchNorm2d(2, momentum=momentum)
        total_mean, total_variance, count = np.zeros(2), np.zeros(2), 0.0
        fraction = 1 - momentum
        for _ in range(steps):
            batch = torch.randn(3, 2, 4, 4, generator=generator) * 2 + 1
            layer(batch)
            channels = batch.transpose(0, 1).reshape(2, -1).double().numpy()
            total_mean = fraction * total_mean + channels.mean(1)
            total_variance = fraction * total_variance + channels.var(1, ddof=1)
            count = fraction * count + 1
        mean, variance = layer.running_statistics()
        np.testing.assert_allclose(mean.numpy(), total_mean / count, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(variance.numpy(), total_variance / count, rtol=1e-4)

    def test_evaluation_uses_the_running_statistics(self) -> None:
        """In evaluation a single pixel is normalised by what training has seen."""
        layer = CaffeBatchNorm2d(1)
        layer(torch.tensor([0.0, 2.0, 4.0, 6.0]).reshape(2, 1, 1, 2))
        layer.eval()
        expected = (10.0 - 3.0) / math.sqrt(20.0 / 3.0 + 1e-5)
        assert layer(torch.full((1, 1, 1, 1), 10.0)).item() == pytest.approx(expected, rel=1e-5)

    def test_untrained_layer_is_the_identity(self) -> None:
        """Before the first step, and after a reset, evaluation changes nothing but by eps."""
        x = torch.randn(2, 3, 4, 4)
        layer = CaffeBatchNorm2d(3)
        assert torch.allclose(layer.eval()(x), x, atol=1e-4)
        layer.train()(x)
        layer.reset_running_stats()
        assert torch.allclose(layer.eval()(x), x, atol=1e-4)

    def test_state_survives_saving(self) -> None:
        """A layer that loads another's state evaluates as that one does."""
        x = torch.randn(4, 3, 8, 8)
        trained, fresh = CaffeBatchNorm2d(3), CaffeBatchNorm2d(3)
        trained(x)
        fresh.load_state_dict(trained.state_dict())
        assert torch.equal(trained.eval()(x), fresh.eval()(x))

    @pytest.mark.parametrize("momentum", [0.0, 1.0, -0.1, 2.0])
    def test_impossible_momentum_is_refused(self, momentum: float) -> None:
        """A momentum outside (0, 1) is wrong use."""
        with pytest.raises(UsageError, match="bn_momentum"):
            BatchNorm(momentum=momentum)


class TestInitialisation:
    @pytest.mark.parametrize(
        ("layer", "fan"),
        [
            (nn.Conv2d(64, 16, 3), 64 * 9),
            (Deconv2d(64, 16, 3), 16 * 9),
            (nn.ConvTranspose2d(64, 16, 3), 16 * 9),
            (nn.Linear(200, 50), 200),
        ],
        ids=["convolution", "deconvolution", "transposed", "linear"],
    )
    def test_bounds_are_caffes(self, layer: nn.Module, fan: int) -> None:
        """Weights fill +-sqrt(3 / n) and biases are 0; a deconvolution counts its outputs."""
        initialise_caffe_xavier(layer, torch.Generator().manual_seed(0))
        bound = math.sqrt(3.0 / fan)
        assert 0.99 * bound < layer.weight.max() <= bound
        assert -bound <= layer.weight.min() < -0.99 * bound
        assert layer.weight.std().item() == pytest.approx(1 / math.sqrt(fan), rel=0.05)
        assert not layer.bias.any()

    def test_only_the_generator_counts(self) -> None:
        """Equal generators give equal weights whatever the global seed; other seeds differ."""
        weights = []
        for global_seed, seed in [(0, 7), (1, 7), (0, 8)]:
            torch.manual_seed(global_seed)
            block = conv_bn_relu(3, 4, BatchNorm())
            initialise_caffe_xavier(block, torch.Generator().manual_seed(seed))
            weights.append(block[0].weight)
        assert torch.equal(weights[0], weights[1])
        assert not torch.equal(weights[0], weights[2])

    def test_without_generator_the_global_seed_counts(self) -> None:
        """`torch.manual_seed` makes the initial weights repeatable."""
        drawn = []
        for _ in range(2):
            torch.manual_seed(3)
            layer = nn.Linear(4, 4)
            initialise_caffe_xavier(layer)
            drawn.append(layer.weight)
        assert torch.equal(*drawn)


def test_deconvolution_is_a_transposed_convolution() -> None:
    """With turned and swapped weights, `Deconv2d` equals a transposed convolution of stride 1."""
    transposed = nn.ConvTranspose2d(3, 5, 3, padding=1)
    deconvolution = Deconv2d(3, 5, 3, padding=1)
    with torch.no_grad():
        deconvolution.weight.copy_(transposed.weight.transpose(0, 1).flip(2, 3))
        deconvolution.bias.copy_(transposed.bias)
    image = torch.randn(2, 3, 7, 9)
    assert torch.allclose(deconvolution(image), transposed(image), atol=1e-5)


def test_conv_bn_relu_is_what_it_says() -> None:
    """The block equals convolution, normalisation and ReLU written out, and keeps the size."""
    block = conv_bn_relu(2, 3, BatchNorm(), dilation=2)
    image = torch.randn(2, 2, 9, 6)
    z = functional.conv2d(image, block[0].weight, block[0].bias, padding=2, dilation=2)
    z = (z - z.mean((0, 2, 3), keepdim=True)) / (
        z.var((0, 2, 3), keepdim=True, correction=0) + 1e-5
    ).sqrt()
    assert torch.allclose(block(image), z.clamp(min=0), atol=1e-5)


class TestRefusals:
    def test_odd_image(self) -> None:
        """A side that a pooling would cut is refused with both numbers and the remedy."""
        with pytest.raises(InputError, match=r"64 x 66 px.*multiples of 4.*pad"):
            require_multiple(torch.zeros(1, 1, 64, 66), 4)

    @pytest.mark.parametrize(
        ("convs", "widths", "scale"),
        [((), None, 1.0), ((2, 0), None, 1.0), ((2, 2), (8,), 1.0), ((2,), (0,), 1.0)],
    )
    def test_impossible_stacks(
        self, convs: tuple[int, ...], widths: tuple[int, ...] | None, scale: float
    ) -> None:
        """No stacks, an empty one, a missing or an empty width are wrong use."""
        with pytest.raises(UsageError):
            stack_widths(convs, widths, scale)

    def test_negative_scale(self) -> None:
        """A scale that is not positive is wrong use."""
        with pytest.raises(UsageError, match="width_scale"):
            stack_widths((2, 2), None, 0.0)


def test_stack_widths_double_and_scale() -> None:
    """Widths start at 32, double per stack, and scale by rounding to at least 1."""
    assert stack_widths((1, 1, 1, 1), None, 1.0) == (32, 64, 128, 256)
    assert stack_widths((2, 4, 5), None, 0.25) == (8, 16, 32)
    assert stack_widths((2, 4, 5), (10, 20, 30), 0.01) == (1, 1, 1)
