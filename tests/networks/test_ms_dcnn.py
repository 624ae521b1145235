"""The dual-path dense U-Net: size, depth, fields of view, switches, dropout, checkpointing."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from strokerepro.errors import InputError, UsageError
from strokerepro.networks import build_network, network_names, network_parameters
from strokerepro.networks.ms_dcnn import MsDcnn
from strokerepro.networks.ms_dcnn_blocks import dense_widths, plain_widths
from strokerepro.networks.receptive_field import effective_extent
from strokerepro.networks.saved_memory import saved_activation_bytes

LITE = {"growth": 16, "stem_width": 32, "up_widths": (128, 64, 32, 16), "head_width": 16}
TINY = {
    "units": (2, 2, 2, 2), "growth": 8, "stem_width": 16, "up_widths": (32, 16, 16, 8),
    "head_width": 8,
}  # fmt: skip
SINGLE = {"in_channels": (4,), "stem_kernels": (3,), "dropout": (0.01,)}
# Networks of one path with the parameters of the networks of two.
WIDE_SINGLE = {
    "literal": {
        "growth": 45, "stem_width": 90, "up_widths": (360, 180, 90, 45), "head_width": 45,
    },
    "lite": {"growth": 23, "stem_width": 45, "up_widths": (179, 90, 45, 23), "head_width": 23},
    "tiny": {
        "units": (2, 2, 2, 2), "growth": 11, "stem_width": 23, "up_widths": (46, 23, 23, 11),
        "head_width": 11,
    },
}  # fmt: skip


def _seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _weightless(**overrides: object) -> MsDcnn:
    """A network of any size without memory for its weights."""
    with torch.device("meta"):
        network = build_network("ms_dcnn", **overrides)
    assert isinstance(network, MsDcnn)
    return network


def _tiny(**overrides: object) -> MsDcnn:
    """The tiny network with running statistics that are not the initial ones."""
    network = build_network("ms_dcnn", **{**TINY, "generator": _seeded(), **overrides})
    assert isinstance(network, MsDcnn)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.uniform_(-0.5, 0.5, generator=_seeded())
            layer.running_var.uniform_(0.5, 2.0, generator=_seeded())
    return network


def _slices(batch: int = 2, side: int = 32, channels: int = 4, seed: int = 1) -> Tensor:
    return torch.randn(batch, channels, side, side, generator=_seeded(seed))


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _kinds(layers: nn.Module) -> list[str]:
    return [type(layer).__name__ for layer in layers.children()]


class TestSize:
    @pytest.mark.parametrize(
        ("overrides", "total", "path", "dense", "ups"),
        [
            ({}, 36_990_177, 18_485_888, 9_512_000, 8_967_424),
            ({"transition": "compress0.5"}, 25_642_721, 12_812_160, 6_250_560, 5_868_032),
            ({"units": (6, 12, 24, 17)}, 37_711_201, 18_846_400, 9_798_720, 9_041_216),
            ({"bottleneck": False}, 50_798_817, 25_390_208, 16_416_320, 8_967_424),
            ({"bottleneck": False, "growth": 12}, 12_947_857, 6_464_728, 2_590_280, 3_870_624),
            (LITE, 9_319_537, 4_657_472, 2_410_016, 2_244_224),
            (TINY, 190_105, 94_480, 30_912, 62_816),
        ],
        ids=["literal", "compressed", "59 units", "single", "single, k=12", "lite", "tiny"],
    )
    def test_parameters(
        self, overrides: dict[str, object], total: int, path: int, dense: int, ups: int
    ) -> None:
        """Network, path A, its dense blocks and its decoder have the parameters of the table."""
        network = _weightless(**overrides)
        first = network.paths[0]
        counts = [_count(part) for part in (network, first, first.blocks, first.ups)]
        assert counts == [total, path, dense, ups]

    def test_part_by_part(self) -> None:
        """Stems, blocks, transitions and head have the parameters counted by hand."""
        network = _weightless()
        first, second = network.paths
        assert _count(first.stem) == 3 * 3 * 3 * 64 + 2 * 64
        assert _count(second.stem) == 5 * 5 * 1 * 64 + 2 * 64
        assert _count(second) == 18_485_888 - 1_728 + 1_600
        assert [_count(b) for b in first.blocks] == [335_040, 1_119_360, 4_035_840, 4_021_760]
        assert [_count(t) for t in first.transitions] == [2 * 256, 2 * 640, 2 * 1_408]
        assert [_count(up) for up in first.ups] == [7_674_368, 1_033_984, 221_952, 37_120]
        assert _count(network.head) == 64 * 32 * 9 + 2 * 32 + 32 + 1 == 18_529

    @pytest.mark.parametrize(
        ("overrides", "layers"),
        [
            ({}, 123),
            ({"transition": "compress0.5"}, 126),
            ({"bottleneck": False}, 65),
            ({"units": (6, 12, 24, 17)}, 125),
            ({"block": "plain"}, 123),
            (SINGLE, 123),
            (TINY, 23),
        ],
    )
    def test_depth(self, overrides: dict[str, object], layers: int) -> None:
        """123 layers in the paper's list of parts; 126 and 65 in the readings that we reject."""
        assert _weightless(**overrides).count_layers() == layers

    def test_depth_by_parts(self) -> None:
        """123 = 3 separate convolutions + 116 in dense units + 4 in the decoder."""
        network = _weightless()
        convs = [
            sum(isinstance(layer, nn.Conv2d) for layer in part.modules())
            for part in (network.paths[0].stem, network.paths[0].blocks, network.paths[0].ups)
        ]
        assert [*convs, len([m for m in network.head if isinstance(m, nn.Conv2d)])] == [
            1,
            116,
            4,
            2,
        ]

    def test_cost(self) -> None:
        """A slice of 160 x 160 px costs 26.5 billion multiply-accumulates."""
        with torch.device("meta"), FlopCounterMode(display=False) as counter:
            _weightless()(torch.empty(1, 4, 160, 160))
        assert counter.get_total_flops() / 2e9 == pytest.approx(26.5, abs=0.05)

    @pytest.mark.parametrize("overrides", [{}, {"bottleneck": False}, LITE, TINY])
    def test_plain_blocks_have_the_parameters_of_the_dense_ones(
        self, overrides: dict[str, object]
    ) -> None:
        """Plain chains differ by at most 3 % in parameters, and in no map outside of the blocks."""
        dense, plain = _weightless(**overrides), _weightless(**overrides, block="plain")
        assert _count(plain) == pytest.approx(_count(dense), rel=0.03)
        for a, b in zip(dense.paths[0].blocks, plain.paths[0].blocks, strict=True):
            assert a.after == b.after
            assert len(a.units) == len(b.units)
        assert _count(dense.paths[0].ups) == _count(plain.paths[0].ups)

    @pytest.mark.parametrize("name", ["literal", "lite", "tiny"])
    def test_a_wider_single_path_has_the_parameters_of_two(self, name: str) -> None:
        """One path about sqrt(2) wider matches two within 3 %; one as wide has about half."""
        two = _count(_weightless(**{"literal": {}, "lite": LITE, "tiny": TINY}[name]))
        wide = _count(_weightless(**SINGLE, **WIDE_SINGLE[name]))
        narrow = _count(_weightless(**{"literal": {}, "lite": LITE, "tiny": TINY}[name], **SINGLE))
        assert wide == pytest.approx(two, rel=0.03)
        assert narrow == pytest.approx(two / 2, rel=0.01)

    def test_widths_of_units_by_hand(self) -> None:
        """A dense unit sees 64, 96, ... maps; a plain one the narrowed output before it."""
        assert dense_widths(64, 3, 32, True) == [(64, 128, 32), (96, 128, 32), (128, 128, 32)]
        assert dense_widths(64, 2, 32, False) == [(64, None, 32), (96, None, 32)]
        first, *_, last = plain_widths(64, 6, 32, True)
        assert (first.before, last.after) == (64, 64 + 6 * 32)
        assert first.middle == first.after == last.before == last.middle == 61
        # 50 w^2 + 2,390 w + 128 parameters at width w come nearest to 335,040 at w = 61.
        assert sum(unit.parameters() for unit in plain_widths(64, 6, 32, True)) == 331_968


class TestMaps:
    def _shapes(self, network: MsDcnn, side: int) -> dict[str, tuple[int, ...]]:
        shapes = {}
        first = network.paths[0]
        parts = {"stem": first.stem, "pool": first.pool}
        for name in ("blocks", "transitions", "ups"):
            parts |= {f"{name}.{i}": part for i, part in enumerate(getattr(first, name))}
        for name, part in parts.items():
            part.register_forward_hook(
                lambda _m, _i, out, name=name: shapes.update({name: tuple(out.shape[1:3])})
            )
        network(torch.empty(1, 4, side, side, device="meta"))
        return shapes

    @pytest.mark.parametrize(
        ("transition", "blocks", "halved"),
        [
            ("none", (256, 640, 1408, 1920), (256, 640, 1408)),
            ("compress0.5", (256, 512, 1024, 1024), (128, 256, 512)),
        ],
    )
    def test_channels_and_sizes(
        self, transition: str, blocks: tuple[int, ...], halved: tuple[int, ...]
    ) -> None:
        """160 px become 80, 40, 20 and 10 and come back; the channels are those of the table."""
        expected = {"stem": (64, 160), "pool": (64, 80)}
        expected |= {f"blocks.{i}": (blocks[i], 80 >> i) for i in range(4)}
        expected |= {f"transitions.{i}": (halved[i], 40 >> i) for i in range(3)}
        expected |= {f"ups.{i}": (256 >> i, 20 << i) for i in range(4)}
        assert self._shapes(_weightless(transition=transition), 160) == expected

    def test_a_strided_stem_needs_a_fifth_doubling(self) -> None:
        """Stride 2 halves all maps, down to 5 px, and the logits are doubled bilinearly."""
        shapes = self._shapes(_weightless(stem_stride=2), 160)
        assert (shapes["stem"][1], shapes["blocks.3"][1], shapes["ups.3"][1]) == (80, 5, 80)
        network = _tiny(stem_stride=2).eval()
        assert _count(network) == _count(_tiny())
        raw: list[Tensor] = []
        network.head.register_forward_hook(lambda _m, _i, out: raw.append(out))
        logits = network(_slices(side=64))
        assert logits.shape == (2, 1, 64, 64)
        doubled = functional.interpolate(raw[0], (64, 64), mode="bilinear", align_corners=False)
        assert torch.equal(logits, doubled)

    @pytest.mark.parametrize(("head", "channels"), [("sigmoid1", 1), ("softmax2", 2)])
    def test_heads(self, head: str, channels: int) -> None:
        """One logit, or one for each class; sides may differ."""
        assert _tiny(head=head)(torch.randn(2, 4, 32, 48)).shape == (2, channels, 32, 48)

    @pytest.mark.parametrize("shape", [(24, 32), (32, 40), (8, 16), (33, 32)])
    def test_sides_that_do_not_suit_are_refused(self, shape: tuple[int, int]) -> None:
        """A side that four halvings do not divide is one clear line; a strided stem needs 32."""
        with pytest.raises(InputError, match=r"expected sides that are multiples of 16; fix"):
            _tiny()(torch.zeros(1, 4, *shape))
        with pytest.raises(InputError, match="multiples of 32"):
            _tiny(stem_stride=2)(torch.zeros(1, 4, 48, 48))

    def test_other_channels_are_refused(self) -> None:
        """Three channels for 3 + 1 are one clear line."""
        with pytest.raises(InputError, match=r"3 channels; expected 4: .*\(3, 1\)"):
            _tiny()(torch.zeros(1, 3, 32, 32))

    def test_each_path_sees_its_own_channels(self) -> None:
        """The fourth channel reaches path B alone, the others path A alone."""
        network, x = _tiny().eval(), _slices()
        changed = x.clone()
        changed[:, 3] += 1
        seen: list[Tensor] = []
        for path in network.paths:
            path.register_forward_hook(lambda _m, _i, out: seen.append(out))
        network(x), network(changed)
        assert torch.equal(seen[0], seen[2])
        assert not torch.equal(seen[1], seen[3])

    def test_routings(self) -> None:
        """All four maps in both paths, and one path alone, are a matter of the channels."""
        both = _tiny(in_channels=(4, 4))
        assert both(_slices(channels=8)).shape == (2, 1, 32, 32)
        for channels, kernel in ((4, 3), (3, 3), (1, 5)):
            one = _tiny(in_channels=(channels,), stem_kernels=(kernel,), dropout=(0.5,))
            assert one(_slices(channels=channels)).shape == (2, 1, 32, 32)
            assert one.head[0].in_channels == 8


class TestReceptiveField:
    SIDE = 1168  # of a strip of 16 rows: fields are measured along it

    def _strip(self, units: tuple[int, ...], kernel: int = 3) -> MsDcnn:
        return build_network(
            "ms_dcnn", in_channels=(1,), stem_kernels=(kernel,), dropout=(0,), units=units,
            growth=1, stem_width=1, up_widths=(1, 1, 1, 1), head_width=1,
        )  # fmt: skip

    def _extent(self, network: MsDcnn, part: str, size_px: int, shift: int = 0) -> int:
        """Columns that one column of a part's output depends on."""

        def columns(probe: MsDcnn, image: Tensor) -> Tensor:
            out: list[Tensor] = []
            handle = (
                probe.paths[0]
                .get_submodule(part)
                .register_forward_hook(lambda _m, _i, result: out.append(result))
            )
            probe(image[..., :16, :])
            handle.remove()
            line = out[0].sum(-2, keepdim=True).roll(-shift, -1)
            return line.expand(-1, -1, line.shape[-1], -1)

        return effective_extent(
            network, size_px, generator=_seeded(), draws=3, phases=1, forward=columns
        )

    @pytest.mark.parametrize(
        ("part", "field_px"),
        [
            ("stem", 3), ("pool", 5), ("blocks.0", 29), ("transitions.0", 31), ("blocks.1", 127),
            ("transitions.1", 131), ("blocks.2", 515), ("transitions.2", 523), ("blocks.3", 1035),
        ],
    )  # fmt: skip
    def test_encoder(self, part: str, field_px: int) -> None:
        """Fields grow from 3 to 1035 px; from the third block on they exceed the slice."""
        network = self._strip((6, 12, 24, 16))
        assert self._extent(network, part, self.SIDE) == field_px

    def test_a_wider_first_kernel_adds_two_pixels(self) -> None:
        """A 5x5 stem sees 5 px, and each later field is 2 px wider."""
        network = self._strip((6, 12, 24, 16), kernel=5)
        assert self._extent(network, "stem", self.SIDE) == 5
        assert self._extent(network, "blocks.0", self.SIDE) == 31

    @pytest.mark.parametrize(
        ("units", "size_px", "fields_px"),
        [((2, 2, 2, 2), 304, {187, 203}), ((6, 12, 24, 16), 1168, {1083, 1099})],
    )
    def test_output_pixels(self, units: tuple[int, ...], size_px: int, fields_px: set[int]) -> None:
        """By its position an output pixel reaches 4 or 5 cells of the coarsest map."""
        network = self._strip(units)
        measured = {self._extent(network, "ups.3", size_px, shift) for shift in (0, 4, 8, 12)}
        assert measured == fields_px


class TestDropout:
    def test_rate_of_each_path(self) -> None:
        """0.01 in path A and 0.5 in path B, after each convolution of a unit and in transitions."""
        network = _weightless()
        for path, rate in zip(network.paths, (0.01, 0.5), strict=True):
            drops = [m for m in path.modules() if isinstance(m, nn.Dropout)]
            assert {drop.p for drop in drops} == {rate}
            assert len(drops) == 116 + 3
        outside = (network.head, *(part for p in network.paths for part in (p.stem, p.ups)))
        assert not any(isinstance(m, nn.Dropout) for part in outside for m in part.modules())

    @pytest.mark.parametrize(("kind", "layer"), [("element", "Dropout"), ("channel", "Dropout2d")])
    def test_positions(self, kind: str, layer: str) -> None:
        """Dropout follows a unit's convolutions and precedes the transition's pooling."""
        once = ["BatchNorm2d", "ReLU", "Conv2d", layer]
        path = _weightless(dropout_kind=kind).paths[1]
        assert all(_kinds(unit) == once * 2 for block in path.blocks for unit in block.units)
        for transition in path.transitions:
            assert _kinds(transition.layers) == ["BatchNorm2d", "ReLU", layer, "AvgPool2d"]
        path = _weightless(dropout_kind=kind, bottleneck=False, transition="compress0.5").paths[1]
        assert all(_kinds(unit) == once for block in path.blocks for unit in block.units)
        assert _kinds(path.transitions[0].layers) == [*once, "AvgPool2d"]

    @pytest.mark.parametrize("kind", ["element", "channel"])
    def test_what_is_dropped(self, kind: str) -> None:
        """Single values or whole maps are zero with the path's rate; the others are doubled."""
        network = _tiny(dropout_kind=kind).train()
        drop = network.paths[1].blocks[0].units[0][-1]
        torch.manual_seed(0)
        out = drop(torch.ones(64, 32, 8, 8))
        assert out.unique().tolist() == [0, 2]
        assert out.eq(0).float().mean().item() == pytest.approx(0.5, abs=0.05)
        whole = out.flatten(2)
        as_one = torch.equal(whole.amin(2), whole.amax(2))
        assert as_one == (kind == "channel")

    def test_only_in_training(self) -> None:
        """Two passes agree in evaluation mode, and differ in training mode."""
        network, x = _tiny(), _slices()
        assert torch.equal(network.eval()(x), network(x))
        network.train()
        assert not torch.equal(network(x), network(x))

    def test_none_with_rate_zero(self) -> None:
        """Rate 0 leaves no layer behind, in its own path only."""
        first, second = _weightless(dropout=(0, 0.5)).paths
        assert not any(isinstance(m, nn.Dropout) for m in first.modules())
        assert any(isinstance(m, nn.Dropout) for m in second.modules())


class TestDetails:
    @pytest.mark.parametrize("kernels", [(3, 3), (3, 5), (3, 7), (5, 3)])
    def test_first_kernels(self, kernels: tuple[int, int]) -> None:
        """Each path has its own first kernel, which keeps the size of the slice."""
        network = _tiny(stem_kernels=kernels)
        assert [path.stem[0].kernel_size[0] for path in network.paths] == list(kernels)
        assert network(_slices()).shape == (2, 1, 32, 32)

    def test_dense_block_by_hand(self) -> None:
        """A dense block is its input beside the outputs of units that saw all before them."""
        block = _tiny().eval().paths[0].blocks[0]
        x = _slices(channels=16)
        first = block.units[0](x)
        second = block.units[1](torch.cat([x, first], 1))
        assert torch.equal(block(x), torch.cat([x, first, second], 1))
        assert torch.equal(block(x)[:, :16], x)

    def test_plain_block_by_hand(self) -> None:
        """A plain block is its units one after the other."""
        block = _tiny(block="plain").eval().paths[0].blocks[0]
        x = _slices(channels=16)
        assert torch.equal(block(x), block.units[1](block.units[0](x)))

    def test_up_block_by_hand(self) -> None:
        """Coarse maps are doubled, set before the encoder's, normalised, cut off, convolved."""
        up = _tiny().eval().paths[0].ups[0]
        coarse, skip = _slices(side=4, channels=80), _slices(side=8, channels=64)
        doubled = functional.interpolate(coarse, (8, 8), mode="bilinear", align_corners=False)
        norm, _, convolution = up.layers
        expected = convolution(functional.relu(norm(torch.cat([doubled, skip], 1))))
        assert torch.equal(up(coarse, skip), expected)

    @pytest.mark.parametrize(
        "overrides",
        [
            {},
            {"block": "plain"},
            {"block": "plain", "bottleneck": False},
            {"bottleneck": False},
            {"transition": "compress0.5"},
            {"stem_stride": 2},
            {"head": "softmax2"},
            {"dropout_kind": "channel"},
            {"checkpointing": True},
            {"units": (1, 3), "up_widths": (8, 8)},
        ],
    )
    def test_every_switch_works_forwards_and_backwards(self, overrides: dict[str, object]) -> None:
        """All weights get a finite gradient that is not nothing."""
        network = _tiny(**overrides).train()
        torch.manual_seed(0)
        logits = network(_slices(batch=4, side=64))
        (logits * torch.randn(logits.shape, generator=_seeded())).mean().backward()
        assert all(weight.grad.isfinite().all() for weight in network.parameters())
        assert all(weight.grad.abs().sum() > 0 for weight in network.parameters())

    def test_all_switches_are_overrides(self) -> None:
        """The registry knows the network and the values of its literal reading."""
        assert "ms_dcnn" in network_names()
        defaults = network_parameters("ms_dcnn")
        assert (defaults["units"], defaults["growth"]) == ((6, 12, 24, 16), 32)
        assert (defaults["dropout"], defaults["stem_kernels"]) == ((0.01, 0.5), (3, 5))

    def test_he_normal_weights_come_from_the_generator(self) -> None:
        """Weights are N(0, 2 / fan-in), biases 0, and the seed decides alone."""
        states = []
        for global_seed, seed in ((0, 3), (1, 3), (0, 4)):
            torch.manual_seed(global_seed)
            states.append(build_network("ms_dcnn", **TINY, generator=_seeded(seed)).state_dict())
        first, same, other = states
        assert all(torch.equal(first[key], same[key]) for key in first)
        key = "paths.0.ups.0.layers.2.weight"  # (32, 144, 3, 3)
        assert not torch.equal(first[key], other[key])
        assert first[key].std().item() == pytest.approx(math.sqrt(2 / (144 * 9)), rel=0.02)
        assert first[key].abs().max() > 3.5 * math.sqrt(2 / (144 * 9))  # no uniform reaches this
        assert first["head.3.bias"].item() == 0

    @pytest.mark.parametrize(
        ("overrides", "message"),
        [
            ({"transition": "conv"}, "unknown transition"),
            ({"dropout_kind": "alpha"}, "unknown dropout"),
            ({"head": "softmax1"}, "unknown head"),
            ({"block": "residual"}, "unknown block"),
            ({"in_channels": (4,)}, "one value of each for each path"),
            ({"in_channels": (), "stem_kernels": (), "dropout": ()}, "one value of each"),
            ({"stem_kernels": (3, 4)}, "odd kernels"),
            ({"in_channels": (3, 0)}, "odd kernels"),
            ({"dropout": (0.01, 1.0)}, "rates of dropout"),
            ({"units": (6, 12, 24)}, "one width for each block"),
            ({"units": (6, 12, 24, 0)}, "counts of at least 1"),
            ({"growth": 0}, "growth 0"),
            ({"stem_stride": 3}, "stem_stride 3"),
            ({"block": "plain", "bottleneck": False, "units": (1, 2, 2, 2)}, "one convolution"),
            ({"width": 3}, "unknown override"),
        ],
    )
    def test_impossible_values_are_refused(self, overrides: dict, message: str) -> None:
        """Each impossible value is named in one line."""
        with pytest.raises(UsageError, match=message):
            _weightless(**overrides)


class TestCheckpointing:
    def _step(self, checkpointing: bool, **overrides: object) -> tuple[Tensor, dict, dict]:
        network = _tiny(checkpointing=checkpointing, **overrides)
        torch.manual_seed(5)
        logits = network(_slices(batch=4))
        after = torch.rand(1)  # the stream of random numbers goes on alike
        logits.square().mean().backward()
        gradients = {name: weight.grad for name, weight in network.named_parameters()}
        return logits, gradients, {**network.state_dict(), "random": after}

    @pytest.mark.parametrize(
        "overrides",
        [
            {"dropout": (0, 0)},
            {},
            {"dropout_kind": "channel", "transition": "compress0.5"},
            {"block": "plain"},
        ],
    )
    def test_it_changes_nothing(self, overrides: dict[str, object]) -> None:
        """Logits, gradients, running statistics and random numbers are the same."""
        plain, saving = self._step(False, **overrides), self._step(True, **overrides)
        assert torch.equal(plain[0], saving[0])
        for before, after in zip(plain[1:], saving[1:], strict=True):
            assert before.keys() == after.keys()
            for name, value in before.items():
                torch.testing.assert_close(after[name], value, atol=1e-7, rtol=1e-5, msg=name)

    def test_statistics_are_tracked_again_afterwards(self) -> None:
        """The second step moves the running statistics as the first did."""
        network, x = _tiny(checkpointing=True), _slices(batch=4)
        norm = network.paths[0].blocks[0].units[0][0]
        for steps in (1, 2):
            network(x).mean().backward()
            assert norm.num_batches_tracked.item() == steps
            assert norm.track_running_stats

    def test_gradients_in_evaluation_mode(self) -> None:
        """Normalised by running statistics, gradients are the same as well."""
        gradients = []
        for checkpointing in (False, True):
            network, x = _tiny(checkpointing=checkpointing).eval(), _slices().requires_grad_()
            network(x).square().mean().backward()
            gradients.append(x.grad)
        torch.testing.assert_close(*gradients, atol=1e-9, rtol=1e-5)

    def test_memory_of_the_literal_network(self) -> None:
        """A slice keeps 890 MiB of activations, 757 without dropout masks; 120 with the switch."""
        image = torch.empty(1, 4, 160, 160, device="meta")
        mebibytes = [
            saved_activation_bytes(_weightless(**overrides), image) / 2**20
            for overrides in ({}, {"dropout": (0, 0)}, {"checkpointing": True})
        ]
        assert mebibytes == [pytest.approx(expected, abs=1) for expected in (890.5, 757.3, 120.5)]


class TestPrecision:
    def test_memory_format_changes_nothing(self) -> None:
        """Channels-last input and weights give the same logits, and maps stay channels-last."""
        network, x = _tiny().eval(), _slices()
        expected = network(x)
        maps: list[Tensor] = []
        for path in network.paths:
            path.register_forward_hook(lambda _m, _i, out: maps.append(out))
        network.to(memory_format=torch.channels_last)
        logits = network(x.to(memory_format=torch.channels_last))
        torch.testing.assert_close(logits, expected, atol=1e-5, rtol=1e-5)
        assert all(one.is_contiguous(memory_format=torch.channels_last) for one in maps)

    @pytest.mark.parametrize("checkpointing", [False, True])
    def test_bfloat16_is_close_and_trains(self, checkpointing: bool) -> None:
        """Autocast gives bfloat16 logits near those of float32, and finite float32 gradients."""
        network, x = _tiny(dropout=(0, 0), checkpointing=checkpointing).train(), _slices(batch=4)
        expected = network(x)
        with torch.autocast("cpu", torch.bfloat16):
            logits = network(x)
        assert logits.dtype == torch.bfloat16
        assert (logits.float() - expected).abs().mean() < 0.05 * expected.std()
        logits.float().square().mean().backward()
        assert {weight.grad.dtype for weight in network.parameters()} == {torch.float32}
        assert all(weight.grad.isfinite().all() for weight in network.parameters())

    def test_it_learns_one_batch(self) -> None:
        """Forty steps separate bright squares from their surroundings."""
        network = _tiny(dropout=(0.01, 0.01)).train()
        labels = torch.zeros(4, 32, 32)
        labels[:2, 4:14, 4:14], labels[2:, 12:24, 8:20] = 1, 1
        x = _slices(batch=4) + 2 * labels[:, None]
        optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
        torch.manual_seed(0)
        for _ in range(40):
            optimizer.zero_grad()
            loss = functional.binary_cross_entropy_with_logits(network(x)[:, 0], labels)
            loss.backward()
            optimizer.step()
        assert loss.item() < 0.15


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("checkpointing", [False, True])
def test_the_literal_network_trains_within_six_gigabytes(checkpointing: bool) -> None:
    """A step on four slices of 160 x 160 px in float32 needs less than 6 GB on a GPU."""
    network = build_network("ms_dcnn", checkpointing=checkpointing, generator=_seeded()).cuda()
    optimizer = torch.optim.Adam(network.parameters())
    torch.cuda.reset_peak_memory_stats()
    for _ in range(2):
        optimizer.zero_grad()
        network(torch.randn(4, 4, 160, 160, device="cuda")).square().mean().backward()
        optimizer.step()
    assert torch.cuda.max_memory_allocated() < 6e9
