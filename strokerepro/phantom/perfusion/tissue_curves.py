"""Enhancement of many voxels at once, from a table of convolved curves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from strokerepro.errors import UsageError
from strokerepro.phantom.lattice import FloatArray
from strokerepro.phantom.perfusion.arterial_input import ArterialInput
from strokerepro.phantom.perfusion.config import PERFUSION, TransitConfig
from strokerepro.phantom.perfusion.residue import (
    dispersion_moment_s,
    kernel_weights,
    residue_moment_s,
)
from strokerepro.phantom.perfusion.units import blood_volume_ml_100g, enhancement_per_volume

# Voxels worked on together: their curves and indices fit into the cache.
_BLOCK = 1024

IndexArray = NDArray[np.intp]


@dataclass(frozen=True)
class CurveTable:
    """Arterial input convolved with dispersion and unit-area residue, over a grid of both.

    Parameters
    ----------
    curves
        ``(mtt nodes, dispersion nodes, times)`` HU of a voxel that is all blood.
    mtt_s, dispersion_s
        Nodes, rising from 0.
    step_s
        Distance of the times, which start at 0.
    """

    curves: FloatArray
    mtt_s: FloatArray
    dispersion_s: FloatArray
    step_s: float

    @classmethod
    def build(
        cls, arterial: ArterialInput, alpha: float, *, config: TransitConfig = PERFUSION.transit
    ) -> CurveTable:
        """Convolve the arterial input with every pair of nodes.

        Parameters
        ----------
        arterial
            Arterial input; its arrival must not lie before 0 s.
        alpha
            Shape of the residue, see :func:`~strokerepro.phantom.perfusion.residue.residue`.
        config
            Nodes of the table.

        Raises
        ------
        UsageError
            When the arrival is negative, or alpha not positive.
        """
        _require(arterial.arrival_s >= 0, f"arrival_s {arterial.arrival_s}", "0 s or later")
        _require(alpha > 0, f"alpha {alpha}", "a positive shape")
        step = config.step_s
        time_s = step * np.arange(round(config.duration_s / step) + 1, dtype=np.float64)
        mtt_s = np.concatenate([[0.0], np.geomspace(*config.mtt_s, config.mtt_nodes)])
        # Quadratic spacing: curves change fastest where dispersion is short.
        share = np.arange(config.dispersion_nodes) / (config.dispersion_nodes - 1)
        dispersion_s = config.dispersion_max_s * share**2
        stay = np.stack([residue_moment_s(time_s, float(mtt), alpha) for mtt in mtt_s])
        spread = np.stack([dispersion_moment_s(time_s, float(tau)) for tau in dispersion_s])
        count = len(time_s) - 1
        padded = fft.next_fast_len(3 * count, real=True)
        source = fft.rfft(arterial.at(time_s[:-1]), padded)
        stay_f = fft.rfft(kernel_weights(stay, step), padded)
        spread_f = fft.rfft(kernel_weights(spread, step), padded)
        spectrum = source * stay_f[:, None] * spread_f[None, :]
        curves = np.maximum(fft.irfft(spectrum, padded)[..., :count], 0.0)
        # The transform leaves rounding errors where nothing has arrived yet.
        curves[..., time_s[:-1] <= arterial.arrival_s] = 0.0
        return cls(curves, mtt_s, dispersion_s, step)

    @property
    def end_s(self) -> float:
        """Last time of the table."""
        return self.step_s * float(self.curves.shape[-1] - 1)

    def tissue_curves(
        self,
        cbf_ml_100g_min: FloatArray,
        mtt_s: FloatArray,
        delay_s: FloatArray,
        dispersion_s: FloatArray,
        time_s: FloatArray,
    ) -> FloatArray:
        """Enhancement of N voxels at T times, in HU.

        Linear in mean transit time, dispersion and time between the nodes; the area under a curve
        is not touched by that: it stays ``1.04 / 0.73 * CBV / 100`` of the arterial area.

        Parameters
        ----------
        cbf_ml_100g_min, mtt_s, delay_s, dispersion_s
            ``(N,)`` flow, mean transit time, arrival after the artery, and time constant of the
            exponential dispersion. None but the delay may be negative.
        time_s
            ``(T,)`` times of the frames.

        Returns
        -------
        ndarray
            ``(T, N)`` float64.

        Raises
        ------
        UsageError
            When a transit time, dispersion or time lies outside the table, or a flow is negative.
        """
        cbf = np.asarray(cbf_ml_100g_min, dtype=np.float64)
        _require(bool(np.all(cbf >= 0)), "a negative or undefined flow", "CBF of 0 or more")
        volume = blood_volume_ml_100g(cbf, np.asarray(mtt_s, dtype=np.float64))
        return self._curves(enhancement_per_volume(volume), mtt_s, delay_s, dispersion_s, time_s)

    def vessel_curves(
        self, delay_s: FloatArray, dispersion_s: FloatArray, time_s: FloatArray
    ) -> FloatArray:
        """Enhancement of N voxels full of blood, arterial or venous, at T times, in HU.

        Parameters
        ----------
        delay_s, dispersion_s, time_s
            As for :meth:`tissue_curves`; no delay and no dispersion is the arterial input itself.

        Returns
        -------
        ndarray
            ``(T, N)`` float64.
        """
        delays = np.asarray(delay_s, dtype=np.float64)
        return self._curves(
            np.ones_like(delays), np.zeros_like(delays), delays, dispersion_s, time_s
        )

    def _curves(
        self,
        scale: FloatArray,
        mtt_s: FloatArray,
        delay_s: FloatArray,
        dispersion_s: FloatArray,
        time_s: FloatArray,
    ) -> FloatArray:
        row, row_share = _bracket("MTT", self.mtt_s, mtt_s)
        column, column_share = _bracket("dispersion", self.dispersion_s, dispersion_s)
        times, delays = np.asarray(time_s, dtype=np.float64), np.asarray(delay_s, dtype=np.float64)
        latest = float(np.max(times) - np.min(delays, initial=np.inf)) if delays.size else 0.0
        _require(latest <= self.end_s, f"a time of {latest:g} s", f"at most {self.end_s:g} s")
        out = np.empty((len(times), len(delays)))
        for start in range(0, len(delays), _BLOCK):
            part = slice(start, start + _BLOCK)
            out[:, part] = self._block(
                (row[part], row_share[part]),
                (column[part], column_share[part]),
                (times[:, None] - delays[part]) / self.step_s,
            )
        out *= scale
        return out

    def _block(
        self,
        rows: tuple[IndexArray, FloatArray],
        columns: tuple[IndexArray, FloatArray],
        position: FloatArray,
    ) -> FloatArray:
        """Trilinear look-up at `position` ``(T, n)``, counted in steps; 0 before time 0."""
        _, width, length = self.curves.shape
        flat = self.curves.reshape(-1)
        np.clip(position, 0.0, length - 1.0, out=position)
        node = np.minimum(position.astype(np.intp), length - 2)
        share = position - node
        (row, row_share), (column, column_share) = rows, columns
        out = np.zeros_like(position)
        for i, row_weight in enumerate((1.0 - row_share, row_share)):
            for j, column_weight in enumerate((1.0 - column_share, column_share)):
                index = node + ((row + i) * width + column + j) * length
                before = flat.take(index)
                index += 1
                after = flat.take(index)
                after -= before
                after *= share
                after += before
                after *= row_weight * column_weight
                out += after
        return out


def _bracket(name: str, nodes: FloatArray, values: FloatArray) -> tuple[IndexArray, FloatArray]:
    """Index of the node below each value, and the value's share of the way to the next one."""
    wanted = np.asarray(values, dtype=np.float64)
    inside = (wanted >= nodes[0]) & (wanted <= nodes[-1])
    if not np.all(inside):
        outside = float(wanted[~inside].flat[0])
        _require(False, f"{name} of {outside:g} s", f"{nodes[0]:g} to {nodes[-1]:g} s")
    index = np.clip(np.searchsorted(nodes, wanted, side="right") - 1, 0, len(nodes) - 2)
    return index, (wanted - nodes[index]) / (nodes[index + 1] - nodes[index])


def _require(met: bool, got: str, expected: str) -> None:
    if not met:
        raise UsageError(got, expected, "correct the perfusion parameters")
