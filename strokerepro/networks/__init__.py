"""Networks by name: ``build_network("edd_muscle.edd", widths=(8, 16, 32))``.

A module of this package announces its networks in a dictionary ``NETWORKS`` of name and
constructor. To add a network, add a file: nothing here needs to change.
"""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from types import MappingProxyType
from typing import Any

from torch import nn

from strokerepro.errors import UsageError

__all__ = ["build_network", "network_names", "network_parameters"]

Constructor = Callable[..., nn.Module]


@cache
def _registry() -> Mapping[str, Constructor]:
    found: dict[str, Constructor] = {}
    for info in pkgutil.iter_modules(__path__):
        announced = getattr(import_module(f"{__name__}.{info.name}"), "NETWORKS", {})
        if twice := found.keys() & announced.keys():
            raise RuntimeError(f"networks announced by two modules: {', '.join(sorted(twice))}")
        found |= announced
    return MappingProxyType(found)


def _constructor(name: str) -> Constructor:
    registry = _registry()
    if name not in registry:
        raise UsageError.unknown("network", name, registry)
    return registry[name]


def network_names() -> list[str]:
    """Names of all networks, sorted."""
    return sorted(_registry())


def network_parameters(name: str) -> dict[str, Any]:
    """List the overrides that a network accepts, with their defaults.

    Parameters
    ----------
    name
        One of `network_names`.

    Returns
    -------
    dict
        Parameter name to default value, in the constructor's order.

    Raises
    ------
    UsageError
        The network is unknown.
    """
    parameters = inspect.signature(_constructor(name)).parameters.values()
    return {parameter.name: parameter.default for parameter in parameters}


def build_network(name: str, **overrides: Any) -> nn.Module:
    """Construct a network, with the paper's values where nothing is overridden.

    Parameters
    ----------
    name
        One of `network_names`, such as ``"edd_muscle.deconvnet"``.
    **overrides
        Constructor arguments; `network_parameters` lists them.

    Returns
    -------
    nn.Module
        The freshly initialised network, in training mode, on the CPU, in float32.

    Raises
    ------
    UsageError
        The network or an override is unknown, or an override has an impossible value.
    """
    constructor = _constructor(name)
    known = network_parameters(name)
    for override in overrides:
        if override not in known:
            raise UsageError.unknown(f"override of {name}", override, known)
    return constructor(**overrides)
