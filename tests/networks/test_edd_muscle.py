"""Networks of the EDD + MUSCLE paper: size, cost, wiring, switches, numerics."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from strokerepro.errors import InputError, UsageError
from strokerepro.networks import build_network, network_names, network_parameters

NARROW = (4, 6, 8)
SEGMENTATION = ["deconvnet", "edd", "unet", "fcn", "deeplab"]


def _seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _count(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def _narrow(name: str, **overrides: object) -> nn.Module:
    widths = (*NARROW, 10) if name == "fcn" else NARROW
    return build_network(f"edd_muscle.{name}", widths=widths, generator=_seeded(), **overrides)


def _final(output: Tensor | tuple[Tensor, ...]) -> Tensor:
    return output if isinstance(output, Tensor) else output.refined


def _gmac(name: str, shape: tuple[int, ...], **overrides: object) -> float:
    """Multiply-accumulates of one forward pass, counted without computing anything."""
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        build_network(name, **overrides)(torch.empty(shape))
    return counter.get_total_flops() / 2e9


# Sheet 4.2: convolutions, parameters, GMAC at 64 and at 128 px.
BRANCHES = [
    ((1, 1, 1), 185_506, 0.079, 0.316),
    ((2, 2, 2), 573_026, 0.306, 1.222),
    ((2, 3, 3), 942_050, 0.457, 1.826),
    ((2, 4, 5), 1_606_242, 0.683, 2.732),
    ((2, 3, 3, 3), 3_892_578, 0.645, 2.581),
    ((2, 3, 3, 5), 6_252_898, 0.796, 3.185),
    ((4, 4, 4, 4), 5_478_754, 1.023, 4.091),
]


class TestSize:
    @pytest.mark.parametrize(("convs", "parameters", "gmac_64", "gmac_128"), BRANCHES)
    def test_branch(
        self, convs: tuple[int, ...], parameters: int, gmac_64: float, gmac_128: float
    ) -> None:
        """Parameters and cost of each DeconvNet of Table 3 are those counted on paper."""
        name = "edd_muscle.deconvnet"
        assert _count(build_network(name, convs=convs)) == parameters
        assert _gmac(name, (1, 1, 64, 64), convs=convs) == pytest.approx(gmac_64, abs=5e-4)
        assert _gmac(name, (1, 1, 128, 128), convs=convs) == pytest.approx(gmac_128, abs=5e-4)

    def test_branch_layer_by_layer(self) -> None:
        """Each layer of the released branch has the parameters counted by hand."""
        layers = [
            module
            for module in build_network("edd_muscle.deconvnet").modules()
            if isinstance(module, nn.Conv2d)
        ]
        encoder = [320, 9_248, 18_496, *[36_928] * 3, 73_856, *[147_584] * 4]
        decoder = [*[147_584] * 4, 73_792, *[36_928] * 3, 18_464, 9_248, 578]
        assert [_count(layer) for layer in layers] == encoder + decoder

    def test_edd(self) -> None:
        """Two branches, 6 for the 1x1, 10,722 for the refinement: 3,223,212."""
        network = build_network("edd_muscle.edd")
        assert _count(network) == 2 * 1_606_242 + 6 + 10_722 == 3_223_212
        assert _count(network.heads["ensemble"]) == 6
        assert _count(network.heads["refine"]) == 10_722

    @pytest.mark.parametrize(("side_px", "gmac"), [(64, 1.410), (128, 5.639), (144, 7.137)])
    def test_edd_cost(self, side_px: int, gmac: float) -> None:
        """The EDD Net costs 1.410 GMAC on a patch and 5.639 on a slice."""
        measured = _gmac("edd_muscle.edd", (1, 1, side_px, side_px))
        assert measured == pytest.approx(gmac, abs=5e-4)

    def test_muscle(self) -> None:
        """65,856 parameters in convolutions and 532,802 in full layers; 6.73 MMAC."""
        network = build_network("edd_muscle.muscle")
        assert _count(network.features) == 65_856
        assert _count(network.classifier) == 532_802
        assert _count(network) == 598_658
        layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
        expected = [1_184, 9_248, 18_496, 36_928, 524_416, 8_256, 130]
        assert [_count(layer) for layer in layers] == expected
        mmac = 1e3 * _gmac("edd_muscle.muscle", (1, 4, 16, 16))
        assert mmac == pytest.approx(6.73, abs=5e-3)

    def test_baselines_by_hand(self) -> None:
        """The baselines' parameters are the sums over the layers that their docstrings name."""

        def conv(inputs: int, outputs: int, taps: int = 9) -> int:
            return inputs * outputs * taps + outputs

        stack = [conv(1, 32), conv(32, 32), conv(32, 64), conv(64, 64), conv(64, 128)]
        c1, c32, c32_64, c64, c64_128 = stack
        unet = c1 + 2 * c32 + c32_64 + 2 * c64 + c64_128 + 2 * conv(128, 128)
        unet += conv(128, 64) + conv(128, 64) + 2 * c64 + conv(64, 32) + conv(64, 32) + 2 * c32
        assert _count(build_network("edd_muscle.unet")) == unet + conv(32, 2, 1)
        fcn = c1 + c32 + c32_64 + c64 + c64_128 + conv(128, 128) + conv(128, 256)
        fcn += conv(64, 2, 1) + conv(128, 2, 1) + conv(256, 2, 1)
        assert _count(build_network("edd_muscle.fcn")) == fcn
        deeplab = c1 + c32 + c32_64 + 2 * c64 + 3 * (c64_128 + conv(128, 2, 1))
        assert _count(build_network("edd_muscle.deeplab")) == deeplab

    def test_normalisation_learns_nothing_unless_asked(self) -> None:
        """`bn_affine` adds two numbers for each channel of each normalised layer."""
        plain = build_network("edd_muscle.deconvnet")
        affine = build_network("edd_muscle.deconvnet", bn_affine=True)
        encoder_channels = 2 * 32 + 4 * 64 + 5 * 128
        decoder_channels = 4 * 128 + 64 + 3 * 64 + 32 + 32
        assert _count(affine) - _count(plain) == 2 * (encoder_channels + decoder_channels)

    def test_width_scale(self) -> None:
        """A quarter of the width is the network with widths 8, 16, 32, refinement included."""
        scaled = build_network("edd_muscle.edd", width_scale=0.25)
        assert _count(scaled) == _count(build_network("edd_muscle.edd", widths=(8, 16, 32)))
        assert scaled.heads["refine"][0][0].out_channels == 8

    @pytest.mark.parametrize("unpool", ["nearest", "bilinear", "fixed_topleft"])
    def test_unpooling_does_not_change_the_size(self, unpool: str) -> None:
        """The switch on which the paper's claim rests changes nothing else."""
        indices = _narrow("deconvnet")
        other = _narrow("deconvnet", unpool=unpool)
        assert indices.state_dict().keys() == other.state_dict().keys()
        image = torch.randn(1, 1, 16, 16)
        assert not torch.allclose(indices(image), other(image))


class TestShapes:
    @pytest.mark.parametrize("name", SEGMENTATION)
    @pytest.mark.parametrize("side_px", [32, 64, 96, 128, 144])
    def test_logits_have_the_size_of_the_image(self, name: str, side_px: int) -> None:
        """Every network is fully convolutional: patches and slices of any size."""
        logits = _final(_narrow(name)(torch.randn(2, 1, side_px, side_px)))
        assert logits.shape == (2, 2, side_px, side_px)

    @pytest.mark.parametrize("name", SEGMENTATION)
    def test_rectangles_and_channels(self, name: str) -> None:
        """A rectangle of three channels works too."""
        logits = _final(_narrow(name, in_channels=3)(torch.randn(1, 3, 24, 40)))
        assert logits.shape == (1, 2, 24, 40)

    @pytest.mark.parametrize("name", SEGMENTATION)
    def test_odd_sizes_are_refused(self, name: str) -> None:
        """A slice that the poolings would cut is refused in one line that says to pad."""
        with pytest.raises(InputError, match="pad"):
            _narrow(name)(torch.randn(1, 1, 30, 32))

    def test_patches_to_class_logits(self) -> None:
        """The candidate classifier gives two logits per patch, also for other patch sizes."""
        assert build_network("edd_muscle.muscle")(torch.rand(5, 4, 16, 16)).shape == (5, 2)
        other = build_network("edd_muscle.muscle", in_channels=2, side_px=24)
        assert other(torch.rand(5, 2, 24, 24)).shape == (5, 2)

    def test_deeplab_with_a_finer_map(self) -> None:
        """Output stride 2 halves the step of the coarse map and keeps the parameters."""
        coarse, fine = _narrow("deeplab"), _narrow("deeplab", output_stride=2)
        image = torch.randn(1, 1, 32, 32)
        assert coarse.coarse_scores(image).shape[-1] == 8
        assert fine.coarse_scores(image).shape[-1] == 16
        assert fine(image).shape == (1, 2, 32, 32)
        assert _count(fine) == _count(coarse)


class TestWiring:
    def test_decoder_uses_each_poolings_own_indices(self) -> None:
        """The DeconvNet equals its definition written out layer by layer."""
        network = _narrow("deconvnet")
        image = torch.randn(2, 1, 16, 16)
        one, two, three = network.encoder.stacks
        x, first = functional.max_pool2d(one(image), 2, return_indices=True)
        x, second = functional.max_pool2d(two(x), 2, return_indices=True)
        x = network.decoder[0](three(x))
        x = network.decoder[1](functional.max_unpool2d(x, second, [2, 2]))
        x = network.decoder[2](functional.max_unpool2d(x, first, [2, 2]))
        assert torch.equal(network(image), x)

    def test_logits_are_free(self) -> None:
        """The last layer has neither normalisation nor ReLU: logits take both signs."""
        logits = _narrow("deconvnet")(torch.randn(4, 1, 32, 32))
        assert logits.min() < 0 < logits.max()

    @pytest.mark.parametrize("branches", [1, 2, 3])
    @pytest.mark.parametrize("ensemble", ["sum_relu_1x1", "mean_prob", "concat_1x1"])
    @pytest.mark.parametrize("refine_input", ["logits", "prob"])
    def test_edd_heads(self, branches: int, ensemble: str, refine_input: str) -> None:
        """Every combination of the switches equals Eq. 1 and Eq. 2 written out."""
        network = _narrow("edd", branches=branches, ensemble=ensemble, refine_input=refine_input)
        image = torch.randn(2, 1, 16, 16)
        output = network(image)
        assert len(output.branches) == branches
        for logits, branch in zip(output.branches, network.branches, strict=True):
            assert torch.equal(logits, branch(image))
        stacked = torch.stack(output.branches)
        if ensemble == "mean_prob":
            mean = stacked.softmax(dim=2).mean(dim=0)
            assert torch.allclose(output.ensemble.exp(), mean, atol=1e-6)
            assert "ensemble" not in network.heads
        else:
            summed = stacked.sum(dim=0).clamp(min=0)
            joined = summed if ensemble == "sum_relu_1x1" else torch.cat(output.branches, dim=1)
            assert torch.allclose(output.ensemble, network.heads["ensemble"](joined), atol=1e-5)
        beside = output.ensemble if refine_input == "logits" else output.ensemble.softmax(dim=1)
        refined = network.heads["refine"](torch.cat([image, beside], dim=1))
        assert torch.allclose(output.refined, refined, atol=1e-5)

    def test_names_and_order_of_the_heads(self) -> None:
        """Tables name the heads; Eq. 3 lists refined, ensemble, branches."""
        output = _narrow("edd")(torch.randn(1, 1, 16, 16))
        assert list(output.by_name()) == ["branch_1", "branch_2", "naive", "edd"]
        assert output.by_name()["edd"] is output.refined
        assert output.by_name()["branch_2"] is output.branches[1]
        first, second, *rest = output.logit_maps()
        assert first is output.refined
        assert second is output.ensemble
        assert tuple(rest) == output.branches

    def test_mean_of_certain_members_is_finite(self) -> None:
        """Members that are certain of opposite classes give a finite ensemble of 1/2."""
        network = _narrow("edd", ensemble="mean_prob")
        certain = torch.zeros(1, 2, 4, 4)
        certain[:, 0] = 1e4
        ensemble = network._combine((certain, certain.flip(1)))
        assert torch.allclose(ensemble.softmax(dim=1), torch.full_like(ensemble, 0.5))
        assert ensemble.isfinite().all()

    def test_members_differ_at_the_start(self) -> None:
        """The branches are drawn one after the other, so that they differ (Sec. 3.4)."""
        one, two = _narrow("edd").branches
        assert not torch.equal(one(torch.ones(1, 1, 16, 16)), two(torch.ones(1, 1, 16, 16)))

    def test_unet_without_skips(self) -> None:
        """Without skips the encoder's fine maps do not reach the decoder."""
        for skips in (True, False):
            network = _narrow("unet", skips=skips)
            channels = [stack[0][0].in_channels for stack in network.decoder]
            assert channels == [12 * skips or 6, 8 * skips or 4]
            assert network(torch.randn(1, 1, 16, 16)).shape == (1, 2, 16, 16)

    def test_unet_with_transposed_convolutions(self) -> None:
        """The other way of upsampling is a 2x2 transposed convolution of stride 2."""
        network = _narrow("unet", up="transposed")
        strides = [m.stride for m in network.modules() if isinstance(m, nn.ConvTranspose2d)]
        assert strides == [(2, 2), (2, 2)]
        assert network(torch.randn(1, 1, 16, 16)).shape == (1, 2, 16, 16)

    def test_fcn_adds_three_scores(self) -> None:
        """The fused scores are those of strides 2, 4 and 8, each upsampled to the image."""
        network = _narrow("fcn")
        image = torch.randn(2, 1, 32, 32)
        features, _ = network.encoder(image)

        def double(x: Tensor) -> Tensor:
            return functional.interpolate(x, scale_factor=2.0, mode="bilinear")

        s2, s4, s8 = (score(x) for score, x in zip(network.scores, features[1:], strict=True))
        assert torch.allclose(network(image), double(s2 + double(s4 + double(s8))), atol=1e-5)

    def test_deeplab_sums_its_rates(self) -> None:
        """The branches have rates 1, 2 and 3 on the map of stride 4, 2, 4 and 6 on stride 2."""
        for stride, rates in [(4, [1, 2, 3]), (2, [2, 4, 6])]:
            network = _narrow("deeplab", output_stride=stride)
            assert [branch[0][0].dilation[0] for branch in network.branches] == rates

    def test_muscle_switches(self) -> None:
        """Dropout works in training only; normalisation is absent unless asked for."""
        network = build_network("edd_muscle.muscle")
        patches = torch.rand(8, 4, 16, 16)
        assert not torch.equal(network(patches), network(patches))
        network.eval()
        assert torch.equal(network(patches), network(patches))
        assert not any(isinstance(m, nn.BatchNorm2d) for m in network.modules())
        normalised = build_network("edd_muscle.muscle", bn=True, dropout=0.0)
        assert sum(isinstance(m, nn.BatchNorm2d) for m in normalised.modules()) == 4
        assert torch.equal(normalised(patches), normalised(patches))


class TestNumerics:
    @pytest.mark.parametrize("name", SEGMENTATION)
    def test_channels_last_is_the_same_network(self, name: str) -> None:
        """The memory format changes speed, not results, neither forward nor backward."""
        image = torch.randn(2, 1, 32, 32)
        results = []
        for layout in (torch.contiguous_format, torch.channels_last):
            network = _narrow(name).to(dtype=torch.float64, memory_format=layout)
            logits = _final(network(image.double().to(memory_format=layout)))
            logits[:, 1].square().sum().backward()
            gradients = [p.grad.flatten() for p in network.parameters() if p.grad is not None]
            results.append((logits, torch.cat(gradients)))
        assert torch.allclose(results[0][0], results[1][0], rtol=1e-8, atol=1e-10)
        assert torch.allclose(results[0][1], results[1][1], rtol=1e-6, atol=1e-7)

    @pytest.mark.parametrize("name", SEGMENTATION)
    @pytest.mark.parametrize("training", [True, False])
    def test_bf16_is_close(self, name: str, training: bool) -> None:
        """Under bf16 autocast, logits correlate with those of float32 above 0.9."""
        # Twenty layers of 8-bit mantissas behind a random start; and index unpooling is not
        # continuous: a tie made by rounding moves a value to the next pixel.
        network = _narrow(name).to(memory_format=torch.channels_last)
        image = torch.randn(4, 1, 32, 32).to(memory_format=torch.channels_last)
        network(image)  # statistics for evaluation
        network.train(training)
        exact = _final(network(image))
        with torch.autocast("cpu", torch.bfloat16):
            rounded = _final(network(image))
        assert rounded.isfinite().all()
        pair = torch.stack([exact.flatten(), rounded.float().flatten()])
        assert torch.corrcoef(pair)[0, 1] > 0.9

    @pytest.mark.parametrize("name", SEGMENTATION)
    def test_repeatable(self, name: str) -> None:
        """Two steps from the same seed give the same bits."""
        weights = []
        for _ in range(2):
            network = _narrow(name)
            optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
            for step in range(2):
                image = torch.randn(2, 1, 16, 16, generator=_seeded(step))
                optimizer.zero_grad()
                _final(network(image)).square().mean().backward()
                optimizer.step()
            weights.append(torch.cat([p.flatten() for p in network.parameters()]))
        assert torch.equal(*weights)

    def test_gradient_by_finite_differences(self) -> None:
        """The gradient of the image agrees with finite differences in float64."""
        network = build_network(
            "edd_muscle.edd", widths=(2, 2), convs=(1, 1), generator=_seeded()
        ).double()
        image = torch.randn(1, 1, 4, 4, dtype=torch.float64, generator=_seeded(1))
        network(torch.randn(8, 1, 4, 4, dtype=torch.float64, generator=_seeded(2)))
        network.eval()
        assert torch.autograd.gradcheck(
            lambda x: network(x).refined, image.requires_grad_(), eps=1e-7, atol=1e-5
        )

    def test_initial_scale_reaches_the_logits(self) -> None:
        """At full width initial logits are of order one: nothing vanishes or explodes."""
        network = build_network("edd_muscle.edd", generator=_seeded())
        output = network(torch.randn(2, 1, 64, 64, generator=_seeded(1)))
        for logits in output.logit_maps():
            assert 0.05 < logits.std() < 20.0

    def test_can_learn(self) -> None:
        """In 60 steps a tiny EDD Net fits bright rectangles, as its evaluation mode shows."""
        network = build_network(
            "edd_muscle.edd", widths=NARROW, convs=(1, 1, 1), bn_momentum=0.1, generator=_seeded()
        )
        labels = torch.zeros(4, 32, 32, dtype=torch.long)
        for number in range(4):
            labels[number, 5 + number : 12 + number, 9:17] = 1
        image = labels[:, None] + 0.3 * torch.randn(4, 1, 32, 32, generator=_seeded(1))
        optimizer = torch.optim.SGD(network.parameters(), lr=0.2, momentum=0.9)
        for _ in range(60):
            optimizer.zero_grad()
            maps = network(image).logit_maps()
            sum(functional.cross_entropy(logits, labels) for logits in maps).backward()
            optimizer.step()
        network.eval()
        with torch.no_grad():
            predicted = network(image).refined.argmax(dim=1)
        overlap = (predicted & labels).sum()
        assert 2 * overlap / (predicted.sum() + labels.sum()) > 0.9


class TestRegistry:
    def test_all_networks_are_found(self) -> None:
        """The six networks of the paper are known by name."""
        names = ["deconvnet", "deeplab", "edd", "fcn", "muscle", "unet"]
        assert set(network_names()) >= {f"edd_muscle.{name}" for name in names}

    def test_unknown_network(self) -> None:
        """A misspelt network lists the known ones and the nearest."""
        with pytest.raises(UsageError, match=r"did you mean .*edd_muscle\.deconvnet"):
            build_network("edd_muscle.deconvnte")

    def test_unknown_override(self) -> None:
        """A misspelt override lists the parameters and the nearest."""
        with pytest.raises(UsageError, match=r"edd_muscle\.edd 'width'.*refine_widths.*widths"):
            build_network("edd_muscle.edd", width=(1, 2, 3))

    def test_parameters_and_defaults(self) -> None:
        """The defaults are the paper's and the released configuration's values."""
        parameters = network_parameters("edd_muscle.edd")
        assert parameters["branches"] == 2
        assert parameters["convs"] == (2, 4, 5)
        assert parameters["ensemble"] == "sum_relu_1x1"
        assert parameters["bn_momentum"] == 0.001

    @pytest.mark.parametrize(
        ("name", "overrides"),
        [
            ("deconvnet", {"unpool": "index"}),
            ("deconvnet", {"dilations": (1, 2)}),
            ("deconvnet", {"convs": (2, 0, 1)}),
            ("deconvnet", {"bn_momentum": 0.0}),
            ("edd", {"branches": 4}),
            ("edd", {"branches": 0}),
            ("edd", {"ensemble": "sum"}),
            ("edd", {"refine_input": "probability"}),
            ("unet", {"up": "cubic"}),
            ("fcn", {"convs": (2,)}),
            ("deeplab", {"output_stride": 8}),
            ("deeplab", {"convs": (2, 3, 3)}),
            ("deeplab", {"rates": ()}),
            ("muscle", {"conv_widths": (32, 32)}),
            ("muscle", {"side_px": 15}),
            ("muscle", {"dropout": 1.0}),
        ],
    )
    def test_impossible_values_are_refused(self, name: str, overrides: dict[str, object]) -> None:
        """Values that cannot work are wrong use, said in one line at construction."""
        with pytest.raises(UsageError) as caught:
            build_network(f"edd_muscle.{name}", **overrides)
        assert "\n" not in str(caught.value)

    def test_generator_decides_the_weights(self) -> None:
        """Equal seeds give equal networks, and the full network has Caffe's bounds."""
        one, two = _narrow("edd"), _narrow("edd")
        for a, b in zip(one.parameters(), two.parameters(), strict=True):
            assert torch.equal(a, b)
        ensemble = one.heads["ensemble"]
        assert ensemble.weight.abs().max() <= math.sqrt(3 / 2)
