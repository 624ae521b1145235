"""The loop counts, selects, stops, and continues an interrupted run bit for bit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from strokerepro.errors import InputError
from strokerepro.training import Parts, Plan, fit, load_state, save_state


class Toy:
    """A tiny regression with dropout, so that every kind of state matters."""

    def __init__(self, seed: int = 0) -> None:
        torch.manual_seed(seed)
        self.network = nn.Sequential(nn.Linear(3, 8), nn.Dropout(0.3), nn.Linear(8, 1))
        self.optimizer = torch.optim.SGD(self.network.parameters(), lr=0.05, momentum=0.9)
        self.generator = torch.Generator().manual_seed(seed)
        self.validations: list[float] = []
        self.steps = 0

    @property
    def parts(self) -> Parts:
        return Parts(
            {"network": self.network}, {"optimizer": self.optimizer}, {"batches": self.generator}
        )

    def step(self, _index: int) -> Mapping[str, Tensor]:
        self.steps += 1
        x = torch.randn(16, 3, generator=self.generator)
        self.optimizer.zero_grad()
        loss = (self.network(x) - x.sum(1, keepdim=True)).square().mean()
        loss.backward()
        self.optimizer.step()
        return {"mse": loss.detach()}

    def validate(self) -> Mapping[str, float]:
        weight = self.network[0].weight
        self.validations.append(float(weight.sum()))
        return {"weight": self.validations[-1]}


def weights(toy: Toy) -> list[Tensor]:
    return [value.clone() for value in toy.network.state_dict().values()]


def test_the_loss_curve_holds_means_over_the_logging_interval() -> None:
    """A point of the curve is the mean loss of the steps since the previous point."""
    values = iter([1.0, 3.0, 10.0, 20.0, 5.0])
    history = fit(
        Parts({"n": nn.Linear(1, 1)}, {}, {}),
        lambda _index: {"a": torch.tensor(next(values))},
        dict,
        Plan(steps=5, validate_every=5, log_every=2),
    )
    assert history.curves == {"loss/a": [[2, 2.0], [4, 15.0], [5, 5.0]]}


@pytest.mark.parametrize("stop_at", [4, 8])
def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(
    tmp_path: Path, stop_at: int
) -> None:
    """Weights, curves and random streams continue as if nothing had happened."""
    whole = Toy()
    expected = fit(whole.parts, whole.step, whole.validate, Plan(12, 4, "weight"))

    first = Toy()
    checkpoint = tmp_path / "run.ckpt"

    def interrupted(index: int) -> Mapping[str, Tensor]:
        if first.steps == stop_at + 2:
            raise KeyboardInterrupt
        return first.step(index)

    with pytest.raises(KeyboardInterrupt):
        fit(
            first.parts, interrupted, first.validate, Plan(12, 4, "weight"),
            checkpoint=checkpoint, identity="k",
        )  # fmt: skip
    second = Toy(seed=99)  # other weights and streams: everything must come from the checkpoint
    history = fit(
        second.parts, second.step, second.validate, Plan(12, 4, "weight"),
        checkpoint=checkpoint, identity="k",
    )  # fmt: skip
    assert history.curves == expected.curves
    assert history.best_step == expected.best_step
    assert all(torch.equal(a, b) for a, b in zip(weights(second), weights(whole), strict=True))
    assert second.steps == 12 - stop_at


def test_the_best_weights_are_left_in_the_network() -> None:
    """With a metric to select by, the network ends with the weights that scored best."""
    network = nn.Linear(1, 1, bias=False)
    scores = iter([0.2, 0.9, 0.1])
    seen: list[float] = []

    def step(_index: int) -> Mapping[str, Tensor]:
        with torch.no_grad():
            network.weight += 1
        return {}

    def validate() -> Mapping[str, float]:
        seen.append(network.weight.item())
        return {"dice": next(scores)}

    history = fit(Parts({"n": network}, {}, {}), step, validate, Plan(3, 1, "dice"))
    assert (history.best_step, history.best_value) == (2, 0.9)
    assert network.weight.item() == seen[1]


def test_a_step_is_told_how_many_steps_were_done_also_after_a_resume(tmp_path: Path) -> None:
    """Samplers that are functions of the step number need it to continue where they stopped."""
    seen: list[int] = []

    def step(index: int) -> Mapping[str, Tensor]:
        seen.append(index)
        return {}

    for steps in (2, 5):
        parts = Parts({"n": nn.Linear(1, 1)}, {}, {})
        fit(parts, step, dict, Plan(steps, 2), checkpoint=tmp_path / "run.ckpt", identity="k")
    assert seen == [0, 1, 2, 3, 4]


def test_patience_stops_after_validations_without_improvement() -> None:
    """Two validations that do not improve end a run with patience two."""
    scores = iter([0.5, 0.4, 0.4, 0.9])
    plan = Plan(steps=100, validate_every=1, select="dice", patience=2)
    history = fit(
        Parts({"n": nn.Linear(1, 1)}, {}, {}),
        lambda _index: {},
        lambda: {"dice": next(scores)},
        plan,
    )
    assert history.step == 3


def test_a_loss_that_is_not_finite_stops_the_run_with_one_line() -> None:
    """NaN is reported with the step and what to do, not trained on."""
    with pytest.raises(InputError, match=r"loss 'a' = nan at step 2.*lower the learning rate"):
        fit(
            Parts({"n": nn.Linear(1, 1)}, {}, {}),
            lambda _index: {"a": torch.tensor(math.nan)},
            dict,
            Plan(steps=4, validate_every=4, log_every=2),
        )


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    """The identity in the checkpoint must be that of the run."""
    toy = Toy()
    fit(toy.parts, toy.step, toy.validate, Plan(2, 2), checkpoint=tmp_path / "c", identity="a")
    with pytest.raises(InputError, match="checkpoint of another recipe"):
        fit(toy.parts, toy.step, toy.validate, Plan(2, 2), checkpoint=tmp_path / "c", identity="b")


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"PK\x03\x04broken"])
def test_a_broken_checkpoint_gives_one_line(tmp_path: Path, content: bytes) -> None:
    """Truncated or foreign bytes are named, never read as good."""
    path = tmp_path / "x.ckpt"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"x\.ckpt, which cannot be read"):
        load_state(path)


def test_a_checkpoint_with_code_in_it_is_refused(tmp_path: Path) -> None:
    """Unpickling never runs what a file brings along."""
    path = tmp_path / "evil.ckpt"
    torch.save({"identity": Path("x")}, path)  # any class beyond tensors and plain values
    with pytest.raises(InputError, match="cannot be read"):
        load_state(path)


def test_a_state_survives_the_round_trip(tmp_path: Path) -> None:
    """Tensors and plain values come back as they were."""
    save_state(tmp_path / "a" / "s.ckpt", {"t": torch.arange(3), "n": None, "s": "x"})
    state = load_state(tmp_path / "a" / "s.ckpt")
    assert state["t"].tolist() == [0, 1, 2]
    assert (state["n"], state["s"]) == (None, "x")
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["s.ckpt"]
