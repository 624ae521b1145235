"""Registering a flipped head to itself: the reflection fit against SimpleITK with Powell's method.

Run with ``OMP_NUM_THREADS=1 python benchmarks/reflection.py [rounds]``. The heads are slices of a
template that is exactly symmetric, tilted and shifted by known amounts, with noise and one with a
lesion, so that the error of both sides is known; it is printed beside the times of the same run.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
from _measure import compare
from nilearn.datasets import load_mni152_gm_template, load_mni152_template, load_mni152_wm_template
from numpy.typing import NDArray
from scipy import ndimage

from strokerepro.preprocess.reflection import Reflection, fit_reflection

try:
    import SimpleITK as sitk  # noqa: N813
except ImportError as error:
    raise SystemExit(f"{error}; fix: pip install 'strokerepro[bench]'") from error

PX_MM = 0.9
SHAPE = (8, 256, 256)  # 5 mm apart
LINES = (Reflection(0.07, -5.5), Reflection(-0.12, 4.0), Reflection(0.22, 9.0))
NOISE_HU = 4.0
LESION_HU = 8.0  # in the last head, a disc of 25 mm
LARGEST_ERROR_PX = 0.1

Volume = NDArray[np.float32]
Mapping = Callable[[NDArray[np.float64]], NDArray[np.float64]]  # points (N, 2), x and y in mm


def make_heads() -> list[Volume]:
    """Skull-stripped CT-like slices (Z, Y, X), one head a line; grey 37, white 29, fluid 8 HU."""
    gm, wm = (
        load(resolution=1).get_fdata()
        for load in (load_mni152_gm_template, load_mni152_wm_template)
    )
    hu = ndimage.spline_filter(8 + 29 * gm / gm.max() + 21 * wm / wm.max())
    t1 = load_mni152_template(resolution=1).get_fdata()
    closed = ndimage.binary_closing(t1 > 0.15 * t1.max(), iterations=4)
    brain = ndimage.binary_fill_holes(closed).astype(float)
    rng = np.random.default_rng(0)
    heads = []
    for line in LINES:
        across, beside = across_and_beside(line)
        slices = []
        for z in range(SHAPE[0]):
            position = [across + 98, beside + 116, np.full_like(across, 75 + 5 * z)]
            inside = ndimage.map_coordinates(brain, position, order=1) > 0.5
            values = ndimage.map_coordinates(hu, position, prefilter=False)
            values += rng.normal(0, NOISE_HU, values.shape)
            if line is LINES[-1]:
                values -= LESION_HU * (np.hypot(across - 45, beside) < 25)
            slices.append(np.where(inside, values, 0))
        heads.append(np.clip(slices, 0, 80).astype(np.float32))
    return heads


def points_mm() -> NDArray[np.float64]:
    """Every pixel centre (Y X, 2), x and y from the centre of the slice."""
    y, x = ((np.arange(n) - (n - 1) / 2) * PX_MM for n in SHAPE[1:])
    return np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)


def across_and_beside(line: Reflection) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Coordinates (Y, X) across the mirror line and along it, in mm."""
    points = points_mm()
    across, beside = points @ line.normal - line.offset_mm, points @ line.along
    return across.reshape(SHAPE[1:]), beside.reshape(SHAPE[1:])


def mirrored_at(line: Reflection) -> Mapping:
    """Where a line maps points."""
    return lambda points: points @ line.matrix[:, :2].T + line.matrix[:, 2]


def largest_error_px(found: Mapping, line: Reflection, head: Volume) -> float:
    """Largest distance between points of the brain mirrored as found and as made."""
    points = points_mm()[(head != 0).any(axis=0).ravel()][::17]
    distances = np.linalg.norm(found(points) - mirrored_at(line)(points), axis=1)
    return float(distances.max() / PX_MM)


def fit_ours(head: Volume) -> Mapping:
    """The reflection fit, rigid."""
    return mirrored_at(fit_reflection(head, (PX_MM, PX_MM), model="rigid").reflection)


def fit_slices(head: Volume) -> Mapping:
    """SimpleITK on all slices: rigid in space, Powell, at a quarter and at half the resolution.

    It has no transform of a volume that stays in plane.
    """
    transform = sitk.Euler3DTransform()
    method = _powell(transform, levels=((4, 2), (2, 1)))
    method.Execute(_image(head, 3), _image(head[..., ::-1], 3))
    return _reflected(transform, 3)


def fit_mean_slice(head: Volume) -> Mapping:
    """SimpleITK on the mean of the slices alone: rigid, Powell, four resolutions."""
    mean = head.mean(axis=0)
    transform = sitk.Euler2DTransform()
    method = _powell(transform, levels=((8, 4), (4, 2), (2, 1), (1, 1)))
    method.Execute(_image(mean, 2), _image(mean[:, ::-1], 2))
    return _reflected(transform, 2)


def _image(array: Volume, dimension: int) -> sitk.Image:
    image = sitk.GetImageFromArray(np.ascontiguousarray(array))
    spacing = (PX_MM, PX_MM, 5.0)[:dimension]
    image.SetSpacing(spacing)
    sizes = array.shape[::-1]
    image.SetOrigin([-(n - 1) / 2 * mm for n, mm in zip(sizes, spacing, strict=True)])
    return image


def _powell(
    transform: sitk.Transform, levels: tuple[tuple[int, float], ...]
) -> sitk.ImageRegistrationMethod:
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsCorrelation()
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsPowell(stepLength=1, stepTolerance=1e-4, valueTolerance=1e-6)
    method.SetOptimizerScalesFromPhysicalShift()
    factors, sigmas = zip(*levels, strict=True)
    method.SetShrinkFactorsPerLevel(list(factors))
    method.SetSmoothingSigmasPerLevel(list(sigmas))
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOff()
    method.SetInitialTransform(transform, inPlace=True)
    return method


def _reflected(transform: sitk.Transform, dimension: int) -> Mapping:
    """Points go where the transform says in the flipped image; the flip brings them back."""

    def mapping(points: NDArray[np.float64]) -> NDArray[np.float64]:
        padded = np.pad(points, ((0, 0), (0, dimension - 2)))
        moved = np.array([transform.TransformPoint(point) for point in padded.tolist()])
        return moved[:, :2] * [-1, 1]

    return mapping


def main(rounds: int) -> None:
    """Print errors and ratios."""
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    print(f"SimpleITK {sitk.Version.VersionString()}, one thread, {rounds} rounds ABBA")
    heads = make_heads()
    sides = {"ours": fit_ours, "all slices": fit_slices, "mean slice": fit_mean_slice}
    for name, fit in sides.items():
        errors = [
            largest_error_px(fit(head), line, head) for line, head in zip(LINES, heads, strict=True)
        ]
        print(f"{name:<11} largest error, px, head by head: {np.round(errors, 3)}")
        if name == "ours" and max(errors) > LARGEST_ERROR_PX:
            raise SystemExit(f"error above {LARGEST_ERROR_PX} px: the times mean nothing")
    for name, fit in list(sides.items())[1:]:
        result = compare(
            f"{len(heads)} flipped heads of 256x256x8, rigid",
            lambda: [fit_ours(head) for head in heads],
            lambda fit=fit: [fit(head) for head in heads],
            peer_name=f"SimpleITK, Powell, {name}",
            rounds=rounds,
            repeats=1,
        )
        print(result)


if __name__ == "__main__":
    main(rounds=int(sys.argv[1]) if len(sys.argv) > 1 else 2)
