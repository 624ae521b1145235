"""The training loop: the same readable loop for every paper, resumable bit for bit on a CPU.

A paper hands over a `step` that draws a batch and updates its networks once, and a `validate`
that scores them; the loop counts, records curves, keeps the best weights, writes checkpoints
and continues from them.
"""

from __future__ import annotations

import io
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from strokerepro.errors import InputError
from strokerepro.files import atomic_path
from strokerepro.progress import Advance, silent

Curve = list[list[float]]


@dataclass(frozen=True)
class Plan:
    """How long to train and how to choose among the weights on the way.

    Attributes
    ----------
    steps
        Optimiser steps.
    validate_every
        Steps between validations; the last step always validates.
    select
        ``"last"``, or the name of the validation metric whose best weights are kept.
    mode
        Whether that metric is better when larger or smaller.
    patience
        Validations without improvement after which training stops; None never stops early.
    min_delta
        Least improvement of that metric that counts as one.
    log_every
        Steps over which losses are averaged into one point of a curve. Losses stay on the
        device between these points, so the loop does not wait for a GPU.
    """

    steps: int
    validate_every: int
    select: str = "last"
    mode: Literal["max", "min"] = "max"
    patience: int | None = None
    min_delta: float = 0.0
    log_every: int = 10


@dataclass
class Parts:
    """What one training consists of and what a checkpoint therefore holds."""

    modules: Mapping[str, nn.Module]
    optimizers: Mapping[str, Optimizer]
    generators: Mapping[str, torch.Generator]


@dataclass
class Progress:
    """State of the loop itself.

    Attributes
    ----------
    step
        Steps done.
    curves
        Name to ``[[step, value], ...]``; losses as ``loss/<name>``, validation as ``val/<name>``.
    best_value, best_step
        Best validation metric and the step it was reached at.
    best_weights
        State dictionaries of the modules at that step.
    seconds
        Training time over all sittings.
    """

    step: int = 0
    curves: dict[str, Curve] = field(default_factory=dict)
    best_value: float = math.nan
    best_step: int = 0
    best_weights: dict[str, dict[str, Tensor]] = field(default_factory=dict)
    seconds: float = 0.0
    validations_since_best: int = 0


def fit(
    parts: Parts,
    step: Callable[[int], Mapping[str, Tensor]],
    validate: Callable[[], Mapping[str, float]],
    plan: Plan,
    *,
    checkpoint: Path | None = None,
    resume: bool = True,
    identity: str = "",
    advance: Advance = silent,
) -> Progress:
    """Train until the plan is fulfilled and leave the selected weights in the modules.

    Parameters
    ----------
    parts
        Modules, optimisers and random generators; all are updated in place.
    step
        Performs one update, given the number of updates done before, and returns detached scalar
        losses by name.
    validate
        Scores the modules; called in ``eval`` mode and without gradients.
    plan
        Length, selection and stopping.
    checkpoint
        File that is rewritten at every validation and removed by the caller when no longer
        needed; None writes nothing.
    resume
        Continue from `checkpoint` if it exists.
    identity
        Key of this run; a checkpoint of another run is refused.
    advance
        Progress.

    Returns
    -------
    Progress
        Curves, best value and step, and seconds.

    Raises
    ------
    InputError
        A checkpoint of another run or a broken one; a loss that is no longer finite.
    """
    state = Progress()
    if checkpoint is not None and resume and checkpoint.exists():
        state = _load_checkpoint(checkpoint, parts, identity)
    losses: dict[str, Tensor] = {}
    for module in parts.modules.values():
        module.train()
    started = time.perf_counter() - state.seconds
    while state.step < plan.steps and not _out_of_patience(state, plan):
        for name, value in step(state.step).items():
            losses[name] = losses[name] + value if name in losses else value.clone()
        state.step += 1
        at_validation = state.step % plan.validate_every == 0 or state.step == plan.steps
        if at_validation or state.step % plan.log_every == 0:
            note = _log_losses(state, losses, plan)
            losses = {}
            advance(state.step, plan.steps, note)
        if at_validation:
            _validate(state, parts, validate, plan)
            state.seconds = time.perf_counter() - started
            if checkpoint is not None:
                _save_checkpoint(checkpoint, parts, state, identity)
    _keep_selected(state, parts)
    return state


def _out_of_patience(state: Progress, plan: Plan) -> bool:
    return plan.patience is not None and state.validations_since_best >= plan.patience


def _log_losses(state: Progress, losses: Mapping[str, Tensor], plan: Plan) -> str:
    curves = state.curves
    previous = max((curve[-1][0] for name, curve in curves.items() if "loss/" in name), default=0)
    count = state.step - previous
    means = {name: float(total) / count for name, total in losses.items()}
    for name, value in means.items():
        if not math.isfinite(value):
            raise InputError(
                f"loss {name!r} = {value} at step {state.step}",
                "a finite loss",
                "lower the learning rate or train with precision 32-true (--set NAME=VALUE)",
            )
        curves.setdefault(f"loss/{name}", []).append([state.step, value])
    return " ".join(f"{name} {value:.3f}" for name, value in means.items())


def _validate(
    state: Progress, parts: Parts, validate: Callable[[], Mapping[str, float]], plan: Plan
) -> None:
    for module in parts.modules.values():
        module.eval()
    with torch.no_grad():
        metrics = validate()
    for module in parts.modules.values():
        module.train()
    for name, value in metrics.items():
        state.curves.setdefault(f"val/{name}", []).append([state.step, float(value)])
    if plan.select == "last":
        return
    value = float(metrics[plan.select])
    sign = 1.0 if plan.mode == "max" else -1.0
    if math.isnan(state.best_value) or sign * value > sign * state.best_value + plan.min_delta:
        state.best_value, state.best_step, state.validations_since_best = value, state.step, 0
        state.best_weights = {
            name: {key: tensor.detach().clone() for key, tensor in module.state_dict().items()}
            for name, module in parts.modules.items()
        }
    else:
        state.validations_since_best += 1


def _keep_selected(state: Progress, parts: Parts) -> None:
    for name, module in parts.modules.items():
        if name in state.best_weights:
            module.load_state_dict(state.best_weights[name])
        module.eval()


def save_state(path: Path, state: Mapping[str, Any]) -> None:
    """Write tensors and plain values to `path`, wholly or not at all."""
    # By way of memory, since torch reports a full disk as a fault of its own archive.
    content = io.BytesIO()
    torch.save(dict(state), content)
    with atomic_path(path) as temporary:
        temporary.write_bytes(content.getbuffer())


def load_state(path: Path) -> dict[str, Any]:
    """Read what `save_state` wrote; nothing in the file is executed.

    Raises
    ------
    InputError
        A file that is missing, truncated or not such a file.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise InputError(f"no file {path}", "a checkpoint", "check the path") from error
    except Exception as error:  # torch raises many kinds for a broken file
        raise InputError(
            f"{path.name}, which cannot be read ({type(error).__name__})",
            "a checkpoint written by strokerepro",
            "delete it and train again",
        ) from error
    if not isinstance(state, dict):
        raise InputError(f"{path.name} without named parts", "a checkpoint", "train again")
    return state


def _save_checkpoint(path: Path, parts: Parts, state: Progress, identity: str) -> None:
    content = {
        "identity": identity,
        "modules": {name: module.state_dict() for name, module in parts.modules.items()},
        "optimizers": {name: item.state_dict() for name, item in parts.optimizers.items()},
        "generators": {name: item.get_state() for name, item in parts.generators.items()},
        "torch_rng": torch.get_rng_state(),
        "cuda_rng": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "progress": vars(state),
    }
    save_state(path, content)


def _load_checkpoint(path: Path, parts: Parts, identity: str) -> Progress:
    content = load_state(path)
    if content.get("identity") != identity:
        raise InputError(
            f"{path.name}, a checkpoint of another recipe",
            "one of this recipe, data, fold and seed",
            "choose another --name or --results-dir, or delete the file",
        )
    for name, module in parts.modules.items():
        module.load_state_dict(content["modules"][name])
    for name, optimizer in parts.optimizers.items():
        optimizer.load_state_dict(content["optimizers"][name])
    for name, generator in parts.generators.items():
        generator.set_state(content["generators"][name])
    torch.set_rng_state(content["torch_rng"])
    if content["cuda_rng"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(content["cuda_rng"])
    return Progress(**content["progress"])
