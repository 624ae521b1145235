"""The U-Nets and the discriminator of the pipeline from CT perfusion to DWI to the lesion."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from strokerepro.errors import InputError, UsageError
from strokerepro.networks import build_network, network_names, network_parameters
from strokerepro.networks.ctp_gan import CtpGanUNet
from strokerepro.networks.ctp_gan_blocks import SelfAttention, maxout, normalisation
from strokerepro.networks.ctp_gan_discriminator import PatchDiscriminator
from strokerepro.networks.receptive_field import effective_extent
from strokerepro.networks.saved_memory import saved_activation_bytes

SEGMENTOR = {"in_channels": 1, "background_maps": 3}
TWO_CLASSES = {"in_channels": 1, "background_maps": 1}


def _seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _weightless_unet(**overrides: object) -> CtpGanUNet:
    """A U-Net of any size without memory for its weights."""
    with torch.device("meta"):
        network = build_network("ctp_gan.generator", **overrides)
    assert isinstance(network, CtpGanUNet)
    return network


def _unet(**overrides: object) -> CtpGanUNet:
    """A U-Net of two base filters whose normalisations are not the initial ones."""
    options = {"base": 2, "generator": _seeded(), **overrides}
    network = build_network("ctp_gan.generator", **options)
    assert isinstance(network, CtpGanUNet)
    return _drawn_normalisations(network)


def _discriminator(**overrides: object) -> PatchDiscriminator:
    """A narrow discriminator with the paper's five convolutions."""
    options = {"widths": (4, 4, 8, 8, 1), "generator": _seeded(), **overrides}
    network = build_network("ctp_gan.discriminator", **options)
    assert isinstance(network, PatchDiscriminator)
    return network


def _drawn_normalisations(network: CtpGanUNet) -> CtpGanUNet:
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d | nn.GroupNorm):
            nn.init.uniform_(layer.weight, 0.5, 1.5, generator=_seeded(1))
            nn.init.uniform_(layer.bias, -0.5, 0.5, generator=_seeded(2))
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.uniform_(-0.5, 0.5, generator=_seeded(3))
            layer.running_var.uniform_(0.5, 2.0, generator=_seeded(4))
    return network


def _slices(batch: int = 2, channels: int = 5, side: int = 32, seed: int = 1) -> Tensor:
    return torch.randn(batch, channels, side, side, generator=_seeded(seed))


def _images(side: int = 256) -> Tensor:
    """Six unlike images without a constant one, (6, 1, side, side): noises, a ramp, a disc."""
    line = torch.linspace(-1, 1, side)
    ramp = line.expand(side, side)
    disc = (ramp.square() + ramp.T.square() < 0.5).float()
    noise = [torch.rand(side, side, generator=_seeded(seed)) for seed in range(3)]
    return torch.stack([*noise, 100 * noise[0] - 30, ramp, disc])[:, None]


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _kinds(layers: nn.Module) -> list[str]:
    return [type(layer).__name__ for layer in layers.children()]


class TestUNetSize:
    @pytest.mark.parametrize(
        ("base", "generator", "segmentor", "two_classes"),
        [
            (64, 31_044_673, 31_042_564, 31_042_434),
            (32, 7_766_561, 7_765_508, 7_765_442),
            (16, 1_944_337, 1_943_812, 1_943_778),
        ],
    )
    def test_parameters(self, base: int, generator: int, segmentor: int, two_classes: int) -> None:
        """Generator, segmentor with maxout and segmentor of two classes, at three widths."""
        counts = [
            _count(_weightless_unet(base=base, **options))
            for options in ({}, SEGMENTOR, TWO_CLASSES)
        ]
        assert counts == [generator, segmentor, two_classes]

    def test_maxout_costs_130_parameters(self) -> None:
        """Two more background maps are two more rows of 64 weights and a bias."""
        with_maxout, without = (
            _count(_weightless_unet(**options)) for options in (SEGMENTOR, TWO_CLASSES)
        )
        assert with_maxout - without == 2 * (64 + 1) == 130

    def test_part_by_part(self) -> None:
        """Blocks, doublings and output have the parameters counted by hand."""
        network = _weightless_unet()
        widths = (64, 128, 256, 512, 1024)

        def block(before: int, after: int) -> int:
            return 9 * before * after + 9 * after * after + 2 * after + 2 * 2 * after

        assert [_count(part) for part in network.encoder] == [
            block(before, after) for before, after in zip((5, *widths), widths, strict=False)
        ]
        halved = widths[-2::-1]
        assert [_count(part) for part in network.decoder] == [block(2 * w, w) for w in halved]
        assert [_count(up) for up in network.ups] == [4 * 2 * w * w + w for w in halved]
        assert _count(network.head) == 64 + 1

    @pytest.mark.parametrize("norm", ["bn", "in"])
    def test_parameters_do_not_depend_on_the_normalisation(self, norm: str) -> None:
        """All normalisations learn a scale and an offset of each map."""
        assert _count(_weightless_unet(norm=norm)) == 31_044_673

    def test_self_attention(self) -> None:
        """Queries and keys of 128 maps, values of 1024 and the gain: 1,312,001 parameters."""
        more = _count(_weightless_unet(self_attention="bottleneck")) - 31_044_673
        assert more == 2 * (1024 * 128 + 128) + 1024 * 1024 + 1024 + 1 == 1_312_001

    @pytest.mark.parametrize(
        ("base", "gigamacs", "mebibytes"), [(64, 48.2, 446), (32, 12.1, 194), (16, 3.1, 90)]
    )
    def test_cost(self, base: int, gigamacs: float, mebibytes: float) -> None:
        """A slice of 256 x 256 px: multiply-accumulates, and what waits for the backward pass.

        The bytes are those of activations and weights together, as autograd keeps both.
        """
        network, image = _weightless_unet(base=base), torch.empty(1, 5, 256, 256, device="meta")
        with FlopCounterMode(display=False) as counter:
            network(image)
        assert counter.get_total_flops() / 2e9 == pytest.approx(gigamacs, abs=0.05)
        kept = saved_activation_bytes(network, image) + 4 * _count(network)
        assert kept / 2**20 == pytest.approx(mebibytes, abs=0.6)


class TestUNetMaps:
    def test_encoder_of_the_paper(self) -> None:
        """256 px and 64 maps become 16 px and 1024 maps by four halvings."""
        maps = _weightless_unet().encode(torch.empty(1, 5, 256, 256, device="meta"))
        assert [tuple(m.shape[1:]) for m in maps] == [
            (64, 256, 256), (128, 128, 128), (256, 64, 64), (512, 32, 32), (1024, 16, 16),
        ]  # fmt: skip

    @pytest.mark.parametrize(
        ("overrides", "channels"),
        [
            ({}, 1),
            ({"out_channels": 3}, 3),
            ({"background_maps": 1}, 2),
            ({"background_maps": 2}, 2),
            ({"background_maps": 5}, 2),
        ],
    )
    def test_outputs_keep_the_size(self, overrides: dict[str, object], channels: int) -> None:
        """A regression has its maps, a segmentation two logits; sides may differ."""
        network = _unet(**overrides)
        assert network(torch.zeros(2, 5, 32, 48)).shape == (2, channels, 32, 48)

    @pytest.mark.parametrize("shape", [(24, 32), (32, 40), (8, 8), (33, 32)])
    def test_sides_that_do_not_suit_are_refused(self, shape: tuple[int, int]) -> None:
        """A side that four halvings do not divide is one clear line."""
        with pytest.raises(InputError, match="multiples of 16"):
            _unet()(torch.zeros(1, 5, *shape))

    @pytest.mark.parametrize("shape", [(1, 4, 32, 32), (5, 32, 32)])
    def test_other_channels_are_refused(self, shape: tuple[int, ...]) -> None:
        """Four maps for a network of five, or no batch axis, is one clear line."""
        with pytest.raises(InputError, match=r"\(B, 5, Y, X\)"):
            _unet()(torch.zeros(shape))


class TestUNetReceptiveField:
    """By gradients, normalised by running statistics: those of groups see the whole slice."""

    def _extent(self, forward: object = None, **options: int) -> int:
        network = build_network("ctp_gan.generator", in_channels=1, base=1, norm="bn")
        for name, parameter in network.named_parameters():
            if name.endswith("bias"):  # a negative one could close a ReLU
                nn.init.zeros_(parameter)
        return effective_extent(network, 256, generator=_seeded(), forward=forward, **options)

    @pytest.mark.parametrize(("level", "field_px"), [*enumerate([5, 14, 32, 68, 140])])
    def test_encoder_levels(self, level: int, field_px: int) -> None:
        """The fields after the encoder's blocks are 5, 14, 32, 68 and 140 px."""

        def encoded(network: CtpGanUNet, image: Tensor) -> Tensor:
            return network.encode(image)[level]

        assert self._extent(encoded, phases=1, draws=24) == field_px

    def test_output_pixels(self) -> None:
        """By its position an output pixel reaches 4 or 5 places of the coarsest map."""

        def shifted(shift: int) -> int:
            return self._extent(
                lambda network, image: network(image).roll((-shift, -shift), (2, 3)),
                phases=1,
                draws=2,
            )

        fields_px = [shifted(shift) for shift in range(16)]
        assert set(fields_px) == {140 + 16 * 3, 140 + 16 * 4} == {188, 204}
        # Two pixels on either side of a border between places are reached by two places each way.
        assert [shift for shift in range(16) if fields_px[shift] == 188] == [0, 1, 14, 15]

    def test_largest(self) -> None:
        """Over all phases of the four poolings the extent is 204 px."""
        assert self._extent(phases=16, draws=2) == 204

    def test_group_statistics_see_the_whole_slice(self) -> None:
        """With group normalisation every output pixel depends on every input pixel."""
        network = _unet(in_channels=1, base=16).double()
        image = torch.randn(1, 1, 224, 224, generator=_seeded(), dtype=torch.float64)
        image.requires_grad_()
        (gradient,) = torch.autograd.grad(network(image)[0, 0, 112, 112], image)
        assert gradient[0, 0, 0, :].ne(0).all()
        assert gradient[0, 0, -1, :].ne(0).all()


class TestNormalisation:
    @pytest.mark.parametrize(
        ("base", "groups"),
        [(64, [4, 8, 16, 32, 64]), (16, [1, 2, 4, 8, 16]), (8, [1, 1, 2, 4, 8])],
    )
    def test_sixteen_channels_a_group(self, base: int, groups: list[int]) -> None:
        """The number of groups varies with the width; narrower maps are one group."""
        network = _weightless_unet(base=base)
        blocks = [*network.encoder, *network.decoder]
        found = [
            [layer.num_groups for layer in block if isinstance(layer, nn.GroupNorm)]
            for block in blocks
        ]
        assert found == [[count, count] for count in [*groups, *groups[-2::-1]]]

    def test_discriminator_groups(self) -> None:
        """2, 4, 8 and 16 groups, and nothing after the last convolution."""
        network = build_network("ctp_gan.discriminator")
        found = [m.num_groups for m in network.modules() if isinstance(m, nn.GroupNorm)]
        assert found == [2, 4, 8, 16]
        assert _kinds(network.layers) == ["Conv2d", "GroupNorm", "ReLU"] * 4 + ["Conv2d"]

    def test_group_normalisation_by_hand(self) -> None:
        """Two groups of two channels have mean 0 and variance 1 each, in each image."""
        x = _slices(channels=4, side=6)
        out = normalisation("gn", 2).layer(4)(x)
        for image in range(2):
            for group in (slice(0, 2), slice(2, 4)):
                part = x[image, group]
                expected = (part - part.mean()) / (part.var(unbiased=False) + 1e-5).sqrt()
                torch.testing.assert_close(out[image, group], expected)

    def test_instance_normalisation_is_a_group_a_channel(self) -> None:
        """It equals PyTorch's own layer."""
        x = _slices(channels=4, side=6)
        ours = normalisation("in", 16).layer(4)
        torch.testing.assert_close(ours(x), nn.InstanceNorm2d(4)(x))

    @pytest.mark.parametrize("norm", ["gn", "in"])
    @pytest.mark.parametrize("training", [True, False])
    def test_outputs_do_not_depend_on_the_batch(self, norm: str, training: bool) -> None:
        """An image alone and among three others has the same output, also in training."""
        network = _unet(norm=norm).double().train(training)
        x = _slices(batch=4).double()
        torch.testing.assert_close(network(x)[:1], network(x[:1]))

    def test_with_batch_normalisation_they_do_in_training(self) -> None:
        """The same image has another output among other images, but not in evaluation."""
        network, x = _unet(norm="bn").train(), _slices(batch=4)
        assert (network(x)[:1] - network(x[:1])).abs().max() > 0.01
        network.eval()
        torch.testing.assert_close(network(x)[:1], network(x[:1]))

    @pytest.mark.parametrize("base", [24, 40])
    def test_groups_of_unequal_size_are_refused(self, base: int) -> None:
        """Widths of 56 in three groups would not divide; 24 and 40 alone do."""
        assert normalisation("gn", 16).groups(base) == base // 16
        with pytest.raises(UsageError, match="56 maps in 3 groups"):
            normalisation("gn", 16).layer(56)


class TestMaxout:
    def test_by_hand(self) -> None:
        """The background logit is the largest of three; p is the softmax of the two."""
        maps = torch.tensor([0.5, 2.0, -1.0, 1.0]).reshape(1, 4, 1, 1)
        logits = maxout(maps)
        assert logits.flatten().tolist() == [2.0, 1.0]
        p_lesion = logits.softmax(dim=1)[0, 1].item()
        assert p_lesion == pytest.approx(math.exp(1) / (math.exp(1) + math.exp(2)), rel=1e-6)

    @settings(max_examples=30, deadline=None)
    @given(k=st.integers(1, 6), seed=st.integers(0, 1000))
    def test_any_number_of_background_maps(self, k: int, seed: int) -> None:
        """Pixel by pixel, for any number of maps; one is the usual head of two classes."""
        maps = torch.randn(2, k + 1, 3, 4, generator=_seeded(seed))
        logits = maxout(maps)
        assert torch.equal(logits[:, 0], maps[:, :k].max(dim=1).values)
        assert torch.equal(logits[:, 1], maps[:, k])
        if k == 1:
            assert torch.equal(logits, maps)

    def test_only_the_largest_background_map_learns(self) -> None:
        """The gradient goes to the winner of each pixel and to the foreground."""
        maps = torch.tensor([0.5, 2.0, -1.0, 1.0]).reshape(1, 4, 1, 1).requires_grad_()
        (gradient,) = torch.autograd.grad(
            maxout(maps).mul(torch.tensor([3, 5])[:, None, None]).sum(), maps
        )
        assert gradient.flatten().tolist() == [0, 3, 0, 5]

    def test_the_network_applies_it_to_its_maps(self) -> None:
        """Logits are the maxout of the four maps of the head."""
        network, x = _unet(**SEGMENTOR).eval(), _slices(channels=1)
        maps = network.maps(x)
        assert maps.shape == (2, 4, 32, 32)
        assert torch.equal(network(x), maxout(maps))

    def test_prior_towards_the_background(self) -> None:
        """Of normal logits one in four pixels is lesion instead of one in two; p falls to 0.34."""
        maps = torch.randn(1, 4, 500, 500, generator=_seeded())
        for kept, share, mean in (([2, 3], 0.5, 0.5), ([0, 1, 2, 3], 0.25, 0.34)):
            p_lesion = maxout(maps[:, kept]).softmax(dim=1)[:, 1]
            assert (p_lesion > 0.5).float().mean().item() == pytest.approx(share, abs=0.005)
            assert p_lesion.mean().item() == pytest.approx(mean, abs=0.005)


class TestUNetDetails:
    def test_layers_of_a_block(self) -> None:
        """Convolution, normalisation, ReLU, twice, with padding and bias."""
        for norm, name in (("gn", "GroupNorm"), ("bn", "BatchNorm2d"), ("in", "GroupNorm")):
            network = _weightless_unet(norm=norm)
            once = ["Conv2d", name, "ReLU"]
            assert all(_kinds(b) == once * 2 for b in (*network.encoder, *network.decoder))
        convs = [m for m in network.modules() if isinstance(m, nn.Conv2d)]
        assert {conv.kernel_size for conv in convs} == {(3, 3), (1, 1)}
        assert all(conv.bias is not None for conv in convs)
        assert len(convs) == 5 * 2 + 4 * 2 + 1

    def test_wiring_by_hand(self) -> None:
        """The maps of each level stand before the doubled ones of the level below."""
        network, x = _unet().eval(), _slices()
        skips, deep = [], x
        for level, block in enumerate(network.encoder):
            deep = block(functional.max_pool2d(deep, 2) if level else deep)
            skips.append(deep)
        skips.pop()
        for up, block in zip(network.ups, network.decoder, strict=True):
            deep = block(torch.cat([skips.pop(), up(deep)], dim=1))
        assert torch.equal(network(x), network.head(deep))

    def test_output_is_unbounded(self) -> None:
        """The generator's last layer is linear: an offset of its bias is one of the image."""
        network, x = _unet().eval(), _slices()
        before = network(x)
        with torch.no_grad():
            network.head.bias += 7
        torch.testing.assert_close(network(x), before + 7)

    def test_attention_by_hand(self) -> None:
        """X + gain sum_j softmax_j(q_i . k_j) v_j, with loops over places."""
        block, x = SelfAttention(16), _slices(channels=16, side=3)
        nn.init.constant_(block.gain, 0.7)
        query, key, value = (f(x).flatten(2) for f in (block.query, block.key, block.value))
        expected = torch.empty_like(value)
        for image in range(2):
            for i in range(9):
                weights = (query[image, :, i] @ key[image]).softmax(dim=0)
                expected[image, :, i] = value[image] @ weights
        torch.testing.assert_close(block(x), x + 0.7 * expected.reshape(x.shape))

    def test_attention_starts_as_nothing_and_learns(self) -> None:
        """With its initial gain of 0 the outputs are those without it; the gain has a gradient."""
        network, x = _unet(self_attention="bottleneck"), _slices(side=64)
        with_attention = network(x)
        with_attention.square().mean().backward()
        assert network.attention.gain.grad.abs() > 0
        network.attention = nn.Identity()
        assert torch.equal(with_attention, network(x))

    @pytest.mark.parametrize(
        "overrides",
        [
            {},
            {"norm": "bn"},
            {"norm": "in"},
            {"out_channels": 2},
            {"background_maps": 1},
            {"background_maps": 3},
            {"self_attention": "bottleneck"},
            {"gn_channels_per_group": 2},
        ],
    )
    def test_every_switch_works_forwards_and_backwards(self, overrides: dict[str, object]) -> None:
        """All weights get a finite gradient that is not nothing."""
        network = _unet(base=4, **overrides).train()
        if isinstance(network.attention, SelfAttention):
            nn.init.constant_(network.attention.gain, 0.5)
        maps = network(_slices(batch=4, side=64))
        (maps * torch.randn(maps.shape, generator=_seeded())).mean().backward()
        assert all(weight.grad.isfinite().all() for weight in network.parameters())
        assert all(weight.grad.abs().sum() > 0 for weight in network.parameters())

    def test_memory_format_changes_nothing(self) -> None:
        """Channels-last input and weights give the same maps, and maps stay channels-last."""
        network, x = _unet(base=4, self_attention="bottleneck"), _slices()
        nn.init.constant_(network.attention.gain, 0.5)
        expected = network(x)
        network.to(memory_format=torch.channels_last)
        last = network.encode(x.to(memory_format=torch.channels_last))[1]
        assert last.is_contiguous(memory_format=torch.channels_last)
        maps = network(x.to(memory_format=torch.channels_last))
        torch.testing.assert_close(maps, expected, atol=1e-5, rtol=1e-5)

    def test_bfloat16_is_close_and_trains(self) -> None:
        """Autocast gives maps near those of float32, and finite float32 gradients."""
        network, x = _unet(base=4, **SEGMENTOR), _slices(channels=1)
        expected = network(x)
        with torch.autocast("cpu", torch.bfloat16):
            logits = network(x)
        assert logits.dtype == torch.bfloat16
        assert (logits.float() - expected).abs().mean() < 0.05 * expected.std()
        logits.float().square().mean().backward()
        assert all(weight.grad.isfinite().all() for weight in network.parameters())

    def test_it_learns_one_batch(self) -> None:
        """Sixty steps separate bright squares from their surroundings."""
        network = _unet(base=4, **SEGMENTOR)
        labels = torch.zeros(4, 32, 32, dtype=torch.long)
        labels[:2, 4:14, 4:14], labels[2:, 12:24, 8:20] = 1, 1
        x = _slices(batch=4, channels=1) + 2 * labels[:, None]
        optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
        for _ in range(60):
            optimizer.zero_grad()
            loss = functional.cross_entropy(network(x), labels)
            loss.backward()
            optimizer.step()
        assert loss.item() < 0.15

    @pytest.mark.parametrize(
        ("overrides", "message"),
        [
            ({"norm": "ln"}, "unknown normalisation"),
            ({"self_attention": "all"}, "unknown self-attention"),
            ({"base": 0}, "counts of at least 1"),
            ({"in_channels": 0}, "counts of at least 1"),
            ({"out_channels": 0}, "counts of at least 1"),
            ({"background_maps": -1}, "no negative one"),
            ({"background_maps": 3, "out_channels": 4}, "leave out out_channels"),
            ({"gn_channels_per_group": 0}, "use 16"),
            ({"base": 56}, "56 maps in 3 groups"),
            ({"width": 3}, "unknown override"),
        ],
    )
    def test_impossible_values_are_refused(self, overrides: dict, message: str) -> None:
        """Each impossible value is named in one line."""
        with pytest.raises(UsageError, match=message):
            _weightless_unet(**overrides)


@pytest.mark.parametrize(
    ("name", "overrides"),
    [("ctp_gan.generator", {"base": 8}), ("ctp_gan.discriminator", {"widths": (8, 8, 1)})],
)
def test_initial_weights_come_from_the_generator(name: str, overrides: dict) -> None:
    """Weights and biases lie in +-1/sqrt(fan-in), fill it, and the seed decides alone."""
    states = []
    for global_seed, seed in ((0, 3), (1, 3), (0, 4)):
        torch.manual_seed(global_seed)
        states.append(build_network(name, **overrides, generator=_seeded(seed)).state_dict())
    first, same, other = states
    assert all(torch.equal(first[key], same[key]) for key in first)
    weight = max((value for value in first.values() if value.ndim == 4), key=torch.numel)
    key = next(key for key, value in first.items() if value is weight)
    assert not torch.equal(weight, other[key])
    bound = 1 / math.sqrt(weight[0].numel())
    assert 0.99 * bound < weight.abs().max() <= bound
    assert weight.std().item() == pytest.approx(bound / math.sqrt(3), rel=0.05)


def test_networks_are_registered_with_the_paper_values() -> None:
    """All three are known by name, with the values of the paper and of our reading as defaults."""
    names = [f"ctp_gan.{role}" for role in ("generator", "segmentor", "discriminator")]
    assert set(names) <= set(network_names())
    generator, segmentor, discriminator = map(network_parameters, names)
    for unet in (generator, segmentor):
        assert (unet["base"], unet["norm"], unet["gn_channels_per_group"]) == (64, "gn", 16)
    assert (generator["in_channels"], generator["background_maps"]) == (5, 0)
    assert (segmentor["in_channels"], segmentor["background_maps"]) == (1, 3)
    with torch.device("meta"):
        counts = [_count(build_network(name)) for name in names]
    assert counts == [31_044_673, 31_042_564, 1_083_841]
    assert discriminator["widths"] == (32, 64, 128, 256, 1)
    assert (discriminator["last"], discriminator["pool"]) == ("raw", "mean")


class TestDiscriminator:
    @pytest.mark.parametrize(
        ("overrides", "total"),
        [
            ({}, 1_083_841),
            ({"norm": "bn"}, 1_083_841),
            ({"last": "gn_pool"}, 1_083_843),
            ({"last": "gn_relu_pool"}, 1_083_843),
            ({"last": "gn_relu_linear"}, 2_716_865),
            ({"in_channels": 6}, 1_083_841 + 5 * 25 * 32),
        ],
    )
    def test_parameters(self, overrides: dict[str, object], total: int) -> None:
        """1,083,841 with a raw last convolution, and those of the other readings."""
        assert _count(build_network("ctp_gan.discriminator", **overrides)) == total

    def test_views_of_the_paper(self) -> None:
        """256-126-61-29-13-5; a place sees 125 px, all of them together 253."""
        views = _discriminator().views(256)
        assert [view.size for view in views] == [256, 126, 61, 29, 13, 5]
        assert [view.field_px for view in views] == [1, 5, 13, 29, 61, 125]
        assert [view.jump_px for view in views] == [1, 2, 4, 8, 16, 32]
        assert [view.covered_px for view in views] == [256, 255, 253, 253, 253, 253]

    @pytest.mark.parametrize("side", [125, 128, 156, 157, 192, 256])
    def test_views_are_those_of_the_maps(self, side: int) -> None:
        """The sizes are measured, also at 128 px: 62-29-13-5-1."""
        network = _discriminator(pool="none")
        sizes: list[int] = []
        for layer in network.layers:
            if isinstance(layer, nn.Conv2d):
                layer.register_forward_hook(lambda _m, _i, out: sizes.append(out.shape[-1]))
        scores = network(torch.rand(1, 1, side, side, generator=_seeded()))
        assert sizes == [view.size for view in network.views(side)[1:]]
        assert scores.shape == (1, 1, sizes[-1], sizes[-1])

    def test_score_is_the_mean_over_patches(self) -> None:
        """One score an image: 25 patches of 256 px weigh alike."""
        whole, patches = _discriminator(), _discriminator(pool="none")
        x = _images()
        scores = whole(x)
        assert scores.shape == (6,)
        assert patches(x).shape == (6, 1, 5, 5)
        torch.testing.assert_close(scores, patches(x).mean(dim=(1, 2, 3)))

    def _seen(self, network: PatchDiscriminator, side: int = 256) -> tuple[Tensor, Tensor]:
        """Whether the score depends on each row and on each column, (side,) each."""
        network.double().eval()
        image = torch.rand(2, 1, side, side, generator=_seeded(), dtype=torch.float64)
        (gradient,) = torch.autograd.grad(network(image.requires_grad_()).sum(), image)
        reached = gradient.ne(0).any(dim=0)[0]
        return reached.any(dim=1), reached.any(dim=0)

    @pytest.mark.parametrize("side", [256, 128, 160])
    def test_convolutions_never_see_the_last_rows_and_columns(self, side: int) -> None:
        """By the gradient's support: 253 of 256 px are seen, the last 3 of each side never."""
        network = _discriminator(norm="bn")
        covered_px = network.views(side)[-1].covered_px
        assert covered_px == {256: 253, 128: 125, 160: 157}[side]
        for seen in self._seen(network, side):
            assert seen[:covered_px].all()
            assert not seen[covered_px:].any()

    def test_group_statistics_see_two_rows_more(self) -> None:
        """The first map's last row, which no convolution reads, is among its statistics.

        It covers 255 px. Only the 256th row and column can change without any effect.
        """
        for seen in self._seen(_discriminator(norm="gn")):
            assert seen[:255].all()
            assert not seen[255]

    @pytest.mark.parametrize("norm", ["gn", "in"])
    def test_normalisation_before_pooling_makes_the_score_constant(self, norm: str) -> None:
        """A normalised map has mean 0: any image scores the layer's offset, without gradient.

        This is the paper's sentence without its last ReLU. No loss of such scores can teach
        the discriminator, or through it the generator, anything.
        """
        network = _discriminator(last="gn_pool", norm=norm).double()
        offset = network.layers[-1].bias
        nn.init.constant_(offset, 0.3)
        images = _images().double().requires_grad_()
        scores = network(images)
        torch.testing.assert_close(scores, torch.full_like(scores, 0.3), rtol=0, atol=1e-12)
        weights = torch.randn(6, generator=_seeded(), dtype=torch.float64)
        names, parameters = zip(*network.named_parameters(), strict=True)
        slopes = torch.autograd.grad((weights * scores).sum(), [*parameters, images])
        raw = _discriminator().double()
        largest = max(
            slope.abs().max()
            for slope in torch.autograd.grad((weights * raw(images)).sum(), [*raw.parameters()])
        )
        for name, slope in zip([*names, "image"], slopes, strict=True):
            if name != names[-1]:  # the offset itself
                assert slope.abs().max() < 1e-10 * largest, name

    def test_normalisation_of_the_batch_makes_the_mean_score_constant(self) -> None:
        """With batch normalisation scores differ, but their mean over the batch cannot."""
        network = _discriminator(last="gn_pool", norm="bn").double().train()
        scores = network(_images().double())
        assert scores.std() > 0.01
        assert scores.mean().item() == pytest.approx(0, abs=1e-12)

    def test_with_a_rectifier_the_score_is_nearly_constant(self) -> None:
        """The mean of the positive part of a standardised map is at most 1/2: half of mean |x|."""
        scores = _discriminator(last="gn_relu_pool")(_images())
        assert scores.min() > 0.3
        assert scores.max() <= 0.5

    def test_raw_scores_tell_images_apart(self) -> None:
        """Without a last normalisation unlike images have unlike scores, of either sign."""
        scores = _discriminator()(_images())
        assert scores.std() > 0.02
        assert scores.unique().numel() == 6

    def test_linear_layer_on_normalised_maps(self) -> None:
        """Pooling before a linear layer is pooling after it."""
        network, x = _discriminator(last="gn_relu_linear"), _images()
        assert _kinds(network.layers) == ["Conv2d", "GroupNorm", "ReLU"] * 5 + ["Conv2d"]
        linear = network.layers[-1]
        pooled = network.layers[:-1](x).mean(dim=(2, 3))
        expected = functional.linear(pooled, linear.weight.flatten(1), linear.bias)[:, 0]
        torch.testing.assert_close(network(x), expected)

    @pytest.mark.parametrize("last", ["raw", "gn_relu_linear", "gn_pool", "gn_relu_pool"])
    @pytest.mark.parametrize("pool", ["mean", "none"])
    def test_every_switch_works_forwards_and_backwards(self, last: str, pool: str) -> None:
        """Scores and gradients are finite in every reading."""
        network = _discriminator(last=last, pool=pool, in_channels=6)
        scores = network(torch.randn(3, 6, 160, 160, generator=_seeded()))
        assert scores.shape == ((3,) if pool == "mean" else (3, 1, 2, 2))
        scores.square().mean().backward()
        assert all(weight.grad.isfinite().all() for weight in network.parameters())

    def test_scores_do_not_depend_on_the_batch(self) -> None:
        """Real images scored alone or together with generated ones score alike."""
        network, x = _discriminator().double(), _images().double()
        torch.testing.assert_close(network(x)[:2], network(x[:2]))

    @pytest.mark.parametrize(("last", "learns"), [("raw", True), ("gn_pool", False)])
    def test_telling_two_textures_apart(self, last: str, learns: bool) -> None:
        """Least squares bring smooth images to 1 and rough ones to 0.

        The loss of a constant score is at least 1/2, which is all that ``"gn_pool"`` can reach.
        """
        rough = torch.rand(4, 1, 128, 128, generator=_seeded())
        smooth = functional.avg_pool2d(functional.pad(rough, (2, 2, 2, 2), "reflect"), 5, stride=1)
        network = _discriminator(last=last)
        optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
        for _ in range(40):
            optimizer.zero_grad()
            loss = (network(smooth) - 1).square().mean() + network(rough).square().mean()
            loss.backward()
            optimizer.step()
        assert loss.item() < 0.01 if learns else loss.item() >= 0.5

    @pytest.mark.parametrize(
        ("widths", "smallest"), [((4, 4, 4, 4, 1), 125), ((4, 4, 4, 1), 61), ((4, 4, 1), 29)]
    )
    def test_smallest_image(self, widths: tuple[int, ...], smallest: int) -> None:
        """An image of that size has one patch; one pixel less is refused with the number."""
        network = _discriminator(widths=widths, pool="none")
        assert network.smallest_px() == smallest
        assert network(torch.zeros(1, 1, smallest, smallest)).shape == (1, 1, 1, 1)
        with pytest.raises(InputError, match=f"at least {smallest} px"):
            network(torch.zeros(1, 1, smallest, smallest - 1))

    def test_other_channels_are_refused(self) -> None:
        """A conditioned discriminator says what it lacks."""
        with pytest.raises(InputError, match=r"\(B, 6, Y, X\)"):
            _discriminator(in_channels=6)(torch.zeros(1, 1, 128, 128))

    @pytest.mark.parametrize(
        ("overrides", "message"),
        [
            ({"last": "pool"}, "unknown last layer"),
            ({"pool": "max"}, "unknown pooling"),
            ({"norm": "ln"}, "unknown normalisation"),
            ({"widths": (32, 64, 128, 256, 512)}, "the last of one map"),
            ({"widths": (1,)}, "two convolutions or more"),
            ({"widths": ()}, "two convolutions or more"),
            ({"widths": (32, 0, 1)}, "positive counts"),
            ({"in_channels": 0}, "positive counts"),
            ({"widths": (32, 56, 1)}, "56 maps in 3 groups"),
            ({"gn_channels_per_group": 0}, "use 16"),
        ],
    )
    def test_impossible_values_are_refused(self, overrides: dict, message: str) -> None:
        """Each impossible value is named in one line."""
        with pytest.raises(UsageError, match=message):
            _discriminator(**overrides)
