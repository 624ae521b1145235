"""The lesion-core network: size, fields of view, wiring, switches, both kinds of dropout."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from strokerepro.errors import InputError, UsageError
from strokerepro.networks import build_network, network_names, network_parameters
from strokerepro.networks.core_resnet import CoreResNet
from strokerepro.networks.prediction_dropout import ALPHA_FILL, prediction_dropout
from strokerepro.networks.receptive_field import effective_extent


def _seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _narrow(**overrides: object) -> CoreResNet:
    """Two base filters, five channels, running statistics that are not the initial ones."""
    options = {"in_channels": 5, "base_filters": 2, "generator": _seeded(), **overrides}
    network = build_network("core_resnet", **options)
    assert isinstance(network, CoreResNet)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.uniform_(-0.5, 0.5, generator=_seeded())
            layer.running_var.uniform_(0.5, 2.0, generator=_seeded())
        if isinstance(layer, nn.PReLU):
            nn.init.constant_(layer.weight, 0.1)
    return network


def _patches(batch: int = 2, side: int = 32, channels: int = 5, seed: int = 1) -> Tensor:
    return torch.randn(batch, channels, side, side, generator=_seeded(seed))


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


class TestSize:
    @pytest.mark.parametrize(("channels", "total"), [(10, 592_610), (5, 592_250)])
    def test_parameters(self, channels: int, total: int) -> None:
        """592,610 parameters with the mirrored copies, 592,250 without."""
        assert _count(build_network("core_resnet", in_channels=channels)) == total

    def test_three_quarters_are_in_the_encoder(self) -> None:
        """444,984 parameters of the encoder are 75.09 % of all, as Sec. 3.2 says."""
        counts = build_network("core_resnet").parameter_counts()
        assert counts == {"encoder": 444_984, "decoder": 147_626}
        assert counts["encoder"] / 592_610 == pytest.approx(0.7509, abs=5e-5)

    def test_part_by_part(self) -> None:
        """Every block has the parameters counted by hand."""
        network = build_network("core_resnet")
        assert _count(network.stem) == 10 * 8 * 9 + 8 == 728
        blocks = [_count(block) for block in network.encoder]
        assert blocks == [1_216, 4_736, 18_688, 74_240, 295_936]
        assert sum(blocks) == 394_816
        assert [_count(down) for down in network.downs] == [608, 2_368, 9_344, 37_120]
        assert [_count(up) for up in network.ups] == [73_792, 18_464, 4_624, 1_160]
        assert [_count(block) for block in network.decoder] == [37_120, 9_344, 2_368, 608]
        assert _count(network.head) == 8 * 2 * 9 + 2 == 146

    @pytest.mark.parametrize(
        ("overrides", "share"),
        [
            ({}, 0.751),
            ({"skip": "concat"}, 0.682),
            ({"up": "transposed_2x2"}, 0.827),
            ({"up": "transposed_2x2", "skip": "concat"}, 0.743),
            ({"up": "bilinear_1x1"}, 0.880),
            ({"up": "bilinear_1x1", "skip": "concat"}, 0.786),
            ({"down": "strided"}, 0.770),
        ],
    )
    def test_encoder_share_of_the_alternatives(
        self, overrides: dict[str, str], share: float
    ) -> None:
        """What the paper leaves open moves the encoder's share between 68 and 88 %."""
        counts = build_network("core_resnet", **overrides).parameter_counts()
        assert counts["encoder"] / sum(counts.values()) == pytest.approx(share, abs=5e-4)

    def test_counts_cover_all_parameters(self) -> None:
        """Encoder and decoder together are the whole network, whatever the switches."""
        for overrides in ({"skip": "concat"}, {"decoder_convs": 2}, {"levels": 3, "act": "relu"}):
            network = build_network("core_resnet", **overrides)
            assert sum(network.parameter_counts().values()) == _count(network)
        assert _count(build_network("core_resnet", decoder_convs=2)) == 592_610 + 49_440

    def test_cost(self) -> None:
        """One patch of 64 x 64 px costs 43.6 million multiply-accumulates."""
        with torch.device("meta"), FlopCounterMode(display=False) as counter:
            build_network("core_resnet")(torch.empty(1, 10, 64, 64))
        assert counter.get_total_flops() / 2e6 == pytest.approx(43.6, abs=0.05)


class TestMaps:
    def test_latent_space_of_the_paper(self) -> None:
        """64 x 64 px become 128 maps of 4 x 4 (Sec. 3.2), halved and doubled on the way."""
        maps = build_network("core_resnet").encode(torch.zeros(1, 10, 64, 64))
        assert [tuple(m.shape[1:]) for m in maps] == [
            (8, 64, 64), (16, 32, 32), (32, 16, 16), (64, 8, 8), (128, 4, 4),
        ]  # fmt: skip

    @pytest.mark.parametrize("side", [16, 32, 48, 64, 80, 96])
    def test_all_patch_sizes_of_the_paper(self, side: int) -> None:
        """Patches from 16 to 96 px keep their size, also where the latent space is one pixel."""
        for training in (False, True):
            logits = _narrow().train(training)(_patches(side=side))
            assert logits.shape == (2, 2, side, side)
            assert logits.isfinite().all()

    @pytest.mark.parametrize("shape", [(24, 32), (32, 40), (8, 8), (33, 32)])
    def test_sides_that_do_not_suit_are_refused(self, shape: tuple[int, int]) -> None:
        """A side that four halvings do not divide is one clear line."""
        with pytest.raises(InputError, match="multiples of 16"):
            _narrow()(torch.zeros(1, 5, *shape))

    def test_fewer_levels_suit_smaller_multiples(self) -> None:
        """With three levels a side of 12 px is fine, and only 32 maps are left at the bottom."""
        network = build_network("core_resnet", levels=3)
        maps = network.encode(torch.zeros(1, 10, 12, 12))
        assert maps[-1].shape == (1, 32, 3, 3)
        assert network(torch.zeros(2, 10, 12, 12)).shape == (2, 2, 12, 12)

    def test_rectangles(self) -> None:
        """Sides may differ."""
        assert _narrow()(torch.zeros(1, 5, 32, 64)).shape == (1, 2, 32, 64)


class TestReceptiveField:
    def _extent(self, forward: object, size_px: int = 192, phases: int = 1) -> int:
        network = build_network("core_resnet", in_channels=1, base_filters=1)
        return effective_extent(
            network, size_px, generator=_seeded(), draws=1, phases=phases, forward=forward
        )

    @pytest.mark.parametrize(("level", "field_px"), [*enumerate([7, 17, 37, 77, 157])])
    def test_encoder_levels(self, level: int, field_px: int) -> None:
        """The fields after the five encoder blocks are 7, 17, 37, 77 and 157 px."""
        assert self._extent(lambda network, image: network.encode(image)[level]) == field_px

    @pytest.mark.parametrize(("level", "field_px"), [*enumerate([9, 21, 45, 93])])
    def test_between_the_levels(self, level: int, field_px: int) -> None:
        """After each halving the field is 9, 21, 45 and 93 px."""

        def halved(network: CoreResNet, image: Tensor) -> Tensor:
            return network.downs[level](network.encode(image)[level])

        assert self._extent(halved) == field_px

    def test_whole_network_sees_more_than_a_patch(self) -> None:
        """An output pixel depends on up to 205 px: the 64 px of the patch are the limit."""
        assert self._extent(None, size_px=224, phases=16) == 205


class TestDetails:
    def test_normalisation_and_activation(self) -> None:
        """Normalisation has eps 1e-3 and momentum 0.01; a PReLU has a slope a channel, from 0."""
        network = build_network("core_resnet")
        norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
        acts = [m for m in network.modules() if isinstance(m, nn.PReLU)]
        assert {(norm.eps, norm.momentum, norm.affine) for norm in norms} == {(1e-3, 0.01, True)}
        assert len(acts) == len(norms) == 5 * 2 + 4 + 4
        assert [act.num_parameters for act in acts] == [norm.num_features for norm in norms]
        assert all(torch.equal(act.weight, torch.zeros_like(act.weight)) for act in acts)

    def test_activation_comes_before_its_convolution(self) -> None:
        """A block is normalisation, activation, convolution, dropout, and the same again."""
        network = build_network("core_resnet")
        once = ["BatchNorm2d", "PReLU", "Conv2d"]

        def kinds(layers: nn.Module) -> list[str]:
            return [type(layer).__name__ for layer in layers.children()]

        assert [kinds(block.layers) for block in network.encoder] == [
            once * 2, once * 2, *[[*once, "Dropout2d", *once]] * 3,
        ]  # fmt: skip
        assert [kinds(block.layers) for block in network.decoder] == [once] * 4
        assert [kinds(down.strided) for down in network.downs] == [once] * 4
        assert kinds(build_network("core_resnet", act="relu").encoder[0].layers)[1] == "ReLU"

    def test_pre_activated_block_by_hand(self) -> None:
        """An untrained block is x + conv(relu(conv(relu(x)))) up to the 1e-3 of the variance."""
        network = build_network("core_resnet", generator=_seeded()).eval()
        block, x = network.encoder[0], _patches(channels=8)
        first, second = (layer for layer in block.layers if isinstance(layer, nn.Conv2d))
        scale = 1 / math.sqrt(1 + 1e-3)
        expected = x + second(functional.relu(scale * first(functional.relu(scale * x))))
        torch.testing.assert_close(block(x), expected)

    def test_halving_is_pooling_beside_a_strided_convolution(self) -> None:
        """The first half of the channels are the maxima of the input's windows."""
        network, x = _narrow().eval(), _patches(channels=2)
        halved = network.downs[0](x)
        assert torch.equal(halved[:, :2], functional.max_pool2d(x, 2))
        torch.testing.assert_close(halved[:, 2:], network.downs[0].strided(x))

    def test_long_skips_are_sums(self) -> None:
        """With silent decoder and up-sampling, the head sees the first encoder block alone."""
        network = _narrow().eval()
        for part in (*network.ups, *(block.layers for block in network.decoder)):
            for weight in part.parameters():
                nn.init.zeros_(weight)
        x = _patches()
        torch.testing.assert_close(network(x), network.head(network.encode(x)[0]))

    def test_blocks_without_their_shortcut(self) -> None:
        """With silent convolutions a residual block is the identity, a plain one is nothing."""
        x = _patches(channels=2)
        for residual in (True, False):
            block = _narrow(residual=residual).eval().encoder[0]
            for weight in block.layers.parameters():
                nn.init.zeros_(weight)
            assert torch.equal(block(x), x if residual else torch.zeros_like(x))

    @pytest.mark.parametrize(
        "overrides",
        [
            {"skip": "concat"},
            {"skip": "concat", "residual": False},
            {"down": "strided"},
            {"up": "transposed_2x2"},
            {"up": "bilinear_1x1"},
            {"decoder_convs": 2},
            {"residual": False},
            {"act": "relu"},
            {"levels": 2, "uf_levels": 1},
            {"levels": 1, "uf_levels": 1},
            {"uf_levels": 5},
        ],
    )
    def test_every_switch_works_forwards_and_backwards(self, overrides: dict[str, object]) -> None:
        """All weights get a finite gradient, and another output than the paper's network."""
        network = _narrow(**overrides)
        logits = network(_patches())
        logits.square().mean().backward()
        assert all(weight.grad.isfinite().all() for weight in network.parameters())
        assert all(weight.grad.abs().sum() > 0 for weight in network.parameters())

    def test_all_switches_are_overrides(self) -> None:
        """The registry knows the network and the paper's values of its switches."""
        assert "core_resnet" in network_names()
        defaults = network_parameters("core_resnet")
        assert (defaults["in_channels"], defaults["base_filters"], defaults["levels"]) == (10, 8, 5)
        assert (defaults["uf_kind"], defaults["uf_rate"]) == ("element", 0.1)

    def test_initial_weights_come_from_the_generator(self) -> None:
        """The same seed gives the same network; the bounds are PyTorch's own."""
        first, same, other = (
            build_network("core_resnet", generator=_seeded(seed)).state_dict() for seed in (3, 3, 4)
        )
        assert all(torch.equal(first[key], same[key]) for key in first)
        assert not torch.equal(first["stem.weight"], other["stem.weight"])
        torch.manual_seed(0)
        bound = nn.Conv2d(10, 8, 3).weight.abs().max()
        assert first["stem.weight"].abs().max() == pytest.approx(bound.item(), rel=0.02)
        assert first["stem.weight"].abs().max() <= 1 / math.sqrt(90)

    @pytest.mark.parametrize(
        ("overrides", "message"),
        [
            ({"act": "selu"}, "unknown activation"),
            ({"skip": "mean"}, "unknown long skip"),
            ({"down": "pool"}, "unknown down-sampling"),
            ({"up": "nearest"}, "unknown up-sampling"),
            ({"uf_kind": "voxel"}, "unknown prediction dropout"),
            ({"uf_levels": 6}, "uf_levels 6"),
            ({"uf_levels": 0}, "uf_levels 0"),
            ({"base_filters": 0}, "base_filters 0"),
            ({"dropout_train": 1.0}, "dropout_train 1.0"),
            ({"uf_rate": -0.1}, "uf_rate -0.1"),
            ({"width": 3}, "unknown override"),
        ],
    )
    def test_impossible_values_are_refused(self, overrides: dict, message: str) -> None:
        """Each impossible value is named in one line."""
        with pytest.raises(UsageError, match=message):
            build_network("core_resnet", **overrides)


class TestTrainingDropout:
    def test_it_drops_whole_maps_in_encoder_levels_three_to_five(self) -> None:
        """Rate 0.2, only there, and none at all with rate 0."""
        network = build_network("core_resnet")
        found = {
            name: module.p for name, module in network.named_modules()
            if isinstance(module, nn.Dropout2d)
        }  # fmt: skip
        assert found == {f"encoder.{level}.layers.3": 0.2 for level in (2, 3, 4)}
        without = build_network("core_resnet", dropout_train=0)
        assert not any(isinstance(module, nn.Dropout2d) for module in without.modules())

    def test_it_is_off_in_evaluation(self) -> None:
        """Two passes in evaluation mode agree, two in training mode do not."""
        network, x = _narrow(dropout_train=0.5), _patches()
        assert torch.equal(network.eval()(x), network(x))
        network.train()
        assert not torch.equal(network(x), network(x))


class TestPredictionDropout:
    def _noisy_maps(self, uf_levels: int, monkeypatch: pytest.MonkeyPatch) -> list[tuple]:
        seen = []

        def record(x: Tensor, **_: object) -> Tensor:
            seen.append(tuple(x.shape[1:]))
            return x

        monkeypatch.setattr("strokerepro.networks.core_resnet.prediction_dropout", record)
        network = build_network("core_resnet", uf_levels=uf_levels).eval()
        x = torch.zeros(1, 10, 64, 64)
        noisy = network.suffix(network.prefix(x), True)
        assert torch.equal(noisy, network(x))  # what is recorded is passed on
        return seen

    def test_it_acts_at_the_inputs_of_the_deepest_blocks(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Encoder 3, 4, 5 and decoder 4, 3 in this order; 4 and 5 levels add one on each side."""
        deepest = [(64, 8, 8), (128, 4, 4), (64, 8, 8)]
        three = [(32, 16, 16), *deepest, (32, 16, 16)]
        four = [(16, 32, 32), *three, (16, 32, 32)]
        assert self._noisy_maps(2, monkeypatch) == deepest
        assert self._noisy_maps(3, monkeypatch) == three
        assert self._noisy_maps(4, monkeypatch) == four
        assert self._noisy_maps(5, monkeypatch) == [(8, 64, 64), *four, (8, 64, 64)]

    @pytest.mark.parametrize("training", [False, True])
    def test_a_plain_pass_has_none(self, training: bool) -> None:
        """`forward` and a suffix that is not stochastic are the network without it."""
        network, x = _narrow(uf_rate=0.5, dropout_train=0).train(training), _patches()
        assert torch.equal(network(x), network.suffix(network.prefix(x)))
        without = _narrow(uf_rate=0.0, dropout_train=0).train(training)
        assert torch.equal(network(x), without(x))

    @pytest.mark.parametrize("kind", ["element", "channel", "alpha"])
    @pytest.mark.parametrize("uf_levels", [1, 3, 5])
    def test_a_shared_prefix_changes_nothing(self, kind: str, uf_levels: int) -> None:
        """Three passes from one prefix equal three whole passes with the same noise."""
        network, x = _narrow(uf_kind=kind, uf_levels=uf_levels).eval(), _patches()
        state, generator = network.prefix(x), _seeded(7)
        shared = [network.suffix(state, True, generator) for _ in range(3)]
        generator = _seeded(7)
        whole = [network.suffix(network.prefix(x), True, generator) for _ in range(3)]
        for one, other in zip(shared, whole, strict=True):
            assert torch.equal(one, other)
        assert not torch.equal(shared[0], shared[1])

    def test_the_rate_can_be_set_for_a_pass(self) -> None:
        """A rate of 0 is the plain pass, and the network's own rate stays."""
        network, x = _narrow(uf_rate=0.1).eval(), _patches()
        state = network.prefix(x)
        assert torch.equal(network.suffix(state, True, rate=0.0), network(x))
        other = _narrow(uf_rate=0.4).eval()
        assert torch.equal(
            network.suffix(state, True, _seeded(), rate=0.4),
            other.suffix(other.prefix(x), True, _seeded()),
        )
        assert network.uf_rate == 0.1

    def test_the_mean_over_many_passes_is_near_the_plain_pass(self) -> None:
        """Rescaling keeps what a convolution sees on average: the noise has no drift."""
        network, x = _narrow(uf_rate=0.05).eval(), _patches()
        state = network.prefix(x)
        passes = torch.stack([network.suffix(state, True, _seeded(n)) for n in range(200)])
        plain = network(x)
        assert (passes.mean(0) - plain).abs().mean() < 0.2 * passes.std(0).mean()

    @pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
    @pytest.mark.parametrize("rate", [0.1, 0.5])
    def test_elements_are_dropped_one_by_one(
        self, layout: torch.memory_format, rate: float
    ) -> None:
        """The share of zeros is the rate to five standard deviations; the others are rescaled."""
        x = torch.ones(8, 16, 32, 32).contiguous(memory_format=layout)
        dropped = prediction_dropout(x, "element", rate, _seeded())
        assert dropped.stride() == x.stride()
        share = dropped.eq(0).double().mean().item()
        assert share == pytest.approx(rate, abs=5 * math.sqrt(rate * (1 - rate) / x.numel()))
        assert dropped.max().item() == pytest.approx(1 / (1 - rate), rel=1e-4)
        per_map = dropped.eq(0).double().mean(dim=(2, 3))
        assert per_map.std() < 2 * math.sqrt(rate * (1 - rate) / 1024)

    def test_channels_are_dropped_as_a_whole(self) -> None:
        """Each map of each sample is all zero or all rescaled."""
        dropped = prediction_dropout(torch.ones(64, 32, 3, 3), "channel", 0.25, _seeded())
        maps = dropped.flatten(2)
        assert torch.equal(maps.min(dim=2).values, maps.max(dim=2).values)
        assert maps[..., 0].eq(0).double().mean().item() == pytest.approx(0.25, abs=0.05)
        assert dropped.max().item() == pytest.approx(4 / 3, rel=1e-4)

    def test_alpha_dropout_keeps_mean_and_variance(self) -> None:
        """Inputs of mean 0 and variance 1 keep both, and dropped values share one value."""
        x = torch.randn(8, 32, 32, 32, generator=_seeded())
        dropped = prediction_dropout(x, "alpha", 0.2, _seeded(1))
        assert dropped.mean().item() == pytest.approx(0, abs=0.02)
        assert dropped.std().item() == pytest.approx(1, abs=0.02)
        scale = (0.8 * (1 + ALPHA_FILL**2 * 0.2)) ** -0.5
        fill = scale * ALPHA_FILL * (1 - 0.2)
        values, counts = dropped.flatten().unique(return_counts=True)
        assert values[counts.argmax()].item() == pytest.approx(fill, rel=1e-4)
        assert counts.max().item() / x.numel() == pytest.approx(0.2, abs=0.01)

    def test_alpha_dropout_has_the_constant_of_selu(self) -> None:
        """The fill is what a SELU tends to for very negative inputs: -1.7581."""
        assert functional.selu(torch.tensor(-50.0)).item() == pytest.approx(ALPHA_FILL, rel=1e-6)

    @pytest.mark.parametrize("kind", ["element", "channel", "alpha"])
    @pytest.mark.parametrize("shape", [(1, 1, 1, 1), (3, 5, 1, 1), (1, 3, 7, 5)])
    def test_odd_sizes(self, kind: str, shape: tuple[int, ...]) -> None:
        """Numbers of values that four does not divide work, and a tiny rate drops nothing."""
        x = torch.ones(shape)
        assert prediction_dropout(x, kind, 0.5, _seeded()).shape == x.shape
        torch.testing.assert_close(prediction_dropout(x, kind, 1e-7, _seeded()), x)


class TestPrecision:
    def test_memory_format_changes_nothing(self) -> None:
        """Channels-last input and weights give the same logits, in the same format."""
        network, x = _narrow().eval(), _patches()
        expected = network(x)
        last = network.to(memory_format=torch.channels_last)
        logits = last(x.to(memory_format=torch.channels_last))
        torch.testing.assert_close(logits, expected, atol=1e-5, rtol=1e-5)
        assert logits.is_contiguous(memory_format=torch.channels_last)

    @pytest.mark.parametrize("kind", ["element", "channel", "alpha"])
    def test_bfloat16_is_close(self, kind: str) -> None:
        """Autocast gives bfloat16 logits near those of float32, with and without noise."""
        network, x = _narrow(uf_kind=kind).eval(), _patches()
        with torch.autocast("cpu", torch.bfloat16):
            plain = network(x)
            noisy = network.suffix(network.prefix(x), True, _seeded())
        assert plain.dtype == noisy.dtype == torch.bfloat16
        torch.testing.assert_close(plain.float(), network(x), atol=0.05, rtol=0.05)
        expected = network.suffix(network.prefix(x), True, _seeded())
        torch.testing.assert_close(noisy.float(), expected, atol=0.1, rtol=0.1)

    def test_bfloat16_trains(self) -> None:
        """A step under autocast leaves float32 gradients that are finite."""
        network = _narrow().train()
        with torch.autocast("cpu", torch.bfloat16):
            logits = network(_patches(batch=4))
        logits.float().square().mean().backward()
        assert {weight.grad.dtype for weight in network.parameters()} == {torch.float32}
        assert all(weight.grad.isfinite().all() for weight in network.parameters())

    def test_it_learns_one_batch(self) -> None:
        """Forty steps separate bright squares from their surroundings."""
        network = _narrow(base_filters=4, dropout_train=0).train()
        labels = torch.zeros(4, 16, 16, dtype=torch.long)
        labels[:2, 4:10, 4:10], labels[2:, 2:6, 8:14] = 1, 1
        x = _patches(batch=4, side=16) + 2 * labels[:, None]
        optimizer = torch.optim.Adadelta(network.parameters(), lr=1.0, rho=0.95)
        for _ in range(40):
            optimizer.zero_grad()
            loss = functional.cross_entropy(network(x), labels)
            loss.backward()
            optimizer.step()
        assert loss.item() < 0.1


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_noise_on_a_gpu_follows_its_generator() -> None:
    """On a GPU a seed repeats a noisy pass as well, in bfloat16 and channels last."""
    network = _narrow().eval().cuda().to(memory_format=torch.channels_last)
    x = _patches().cuda().to(memory_format=torch.channels_last)
    with torch.autocast("cuda", torch.bfloat16):
        state = network.prefix(x)
        first, second = (
            network.suffix(state, True, torch.Generator("cuda").manual_seed(5)) for _ in range(2)
        )
    assert torch.equal(first, second)
