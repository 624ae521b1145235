"""Figures of CT perfusion: curves of a chosen voxel, maps in rows, several predictions."""

from __future__ import annotations

import base64
import io
import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from strokerepro import figures
from strokerepro.errors import InputError


def _curves() -> figures.VoxelCurves:
    """Two voxels of a slice of 4 rows and 6 columns, three frames, four lags."""
    return figures.VoxelCurves(
        rows=np.array([0, 3]),
        columns=np.array([1, 5]),
        labels=["Tmax 2.0 s", "Tmax 8.5 s"],
        dt_s=2.0,
        tissue_hu=np.array([[0.0, 5.0, 1.0], [0.0, 1.0, 2.0]]),
        arterial_hu=np.array([0.0, 300.0, 40.0]),
        residue_ml_100g_min=np.array([[50.0, 20.0, 5.0, 0.0], [3.0, 9.0, 2.0, 1.0]]),
    )


def test_slider_shows_the_curves_of_its_voxel() -> None:
    """Step 1 draws tissue and residue of voxel 1 and puts the ring on it; the artery stays."""
    figure = figures.curve_explorer(np.arange(24.0).reshape(4, 6), _curves(), title="Tmax")
    (slider,) = figure.layout.sliders
    assert [step.label for step in slider.steps] == ["Tmax 2.0 s", "Tmax 8.5 s"]
    change, traces = slider.steps[1].args
    names = [figure.data[index].name for index in traces]
    assert names == ["chosen", "chosen voxel", "residue"]
    assert change["y"][1:] == [[0.0, 1.0, 2.0], [3.0, 9.0, 2.0, 1.0]]
    # Column 5 is the patient's left, on the right; row 3 is in front, at the top.
    assert (change["x"][0], change["y"][0]) == ([5], [0])
    # Without x of its own a curve keeps its start and its step.
    assert change["x"][1:] == [None, None]
    assert {figure.data[index].dx for index in traces[1:]} == {2.0}


def test_first_drawing_agrees_with_the_first_step() -> None:
    """What is drawn at first is what the slider's active step would draw."""
    figure = figures.curve_explorer(np.ones((4, 6)), _curves(), title="Tmax", start=1)
    (slider,) = figure.layout.sliders
    change, traces = slider.steps[slider.active].args
    for index, y in zip(traces, change["y"], strict=True):
        assert list(figure.data[index].y) == y


def test_click_means_the_step_of_that_voxel() -> None:
    """The page's script is told the trace of the voxels, which has one point a step."""
    figure = figures.curve_explorer(np.ones((4, 6)), _curves(), title="Tmax")
    pick = figure.layout.meta["pick"]
    voxels = figure.data[pick["trace"]]
    assert voxels.name == "voxels"
    assert len(voxels.x) == len(figure.layout.sliders[pick["slider"]].steps)


@pytest.mark.parametrize("orientation", ["LAS", "RAS", "LPS"])
def test_voxel_lies_where_the_map_shows_it(orientation: str) -> None:
    """The only bright voxel of a map is at the ring, however the map is stored."""
    background = np.zeros((4, 6))
    background[3, 5] = 1.0
    curves = _curves()
    figure = figures.curve_explorer(
        background, curves, title="Tmax", orientation=orientation, start=1, window=(0.0, 1.0)
    )
    source = base64.b64decode(figure.data[0].source.split(",")[1])
    shown = np.asarray(Image.open(io.BytesIO(source)).convert("L"))
    ring = figure.data[2]
    assert np.unravel_index(shown.argmax(), shown.shape) == (ring.y[0], ring.x[0])


def test_hundred_voxels_are_small() -> None:
    """A hundred voxels with 50 frames take less than 150 kB."""
    rng = np.random.default_rng(0)
    n, frames = 100, 50
    curves = figures.VoxelCurves(
        rng.integers(0, 128, n),
        rng.integers(0, 128, n),
        [f"voxel {k}" for k in range(n)],
        1.0,
        rng.normal(0, 9, (n, frames)),
        rng.normal(0, 9, frames),
        rng.normal(0, 9, (n, frames)),
    )
    figure = figures.curve_explorer(rng.normal(0, 1, (128, 128)), curves, title="Tmax")
    assert len(figure.to_json()) < 150_000


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"labels": ["one"]}, "labels of shape"),
        ({"tissue_hu": np.zeros((2, 9))}, "tissue_hu of shape"),
        ({"residue_ml_100g_min": np.zeros((1, 4))}, "residue_ml_100g_min of shape"),
    ],
)
def test_curves_that_do_not_fit_are_refused(change: dict[str, object], words: str) -> None:
    """A curve too few, or of another length, ends in one clear line."""
    with pytest.raises(InputError, match=words):
        replace(_curves(), **change)  # type: ignore[arg-type]


def test_four_predictions_stand_in_two_rows() -> None:
    """Four panels at two across make two rows, each with the masks of its own prediction."""
    truth = np.zeros((2, 4, 4), bool)
    truth[0, 0, :2] = True
    shifted = np.zeros_like(truth)
    shifted[0, 0, 1:3] = True
    predictions = {"a": truth, "b": shifted, "c": ~truth, "d": np.zeros_like(truth)}
    overlays = figures.confusion_overlays(truth, predictions)
    assert {name: [int(m.sum()) for m in mask] for name, (mask, _) in overlays.items()} == {
        "true positive": [2, 1, 0, 0],
        "false positive": [0, 1, 30, 0],
        "false negative": [0, 1, 2, 2],
    }
    case = figures.BrowsedCase("x", dict.fromkeys(predictions, truth * 1.0), overlays)
    figure = figures.case_browser([case], across=2)
    assert figure.layout.xaxis.domain == figure.layout.xaxis3.domain
    assert figure.layout.yaxis.domain[0] > figure.layout.yaxis3.domain[1]
    drawn = [trace.name for trace in figure.data if trace.xaxis == "x4"]
    assert drawn == ["d", "true positive", "false positive", "false negative"]
    switch = figure.layout.updatemenus[1].buttons[0]
    assert switch.label == "false positive"
    assert [figure.data[index].xaxis for index in switch.args[1]] == ["x", "x2", "x3", "x4"]


def test_masks_for_other_panels_are_refused() -> None:
    """Two masks for one panel end in one clear line."""
    mask = np.zeros((2, 3, 4, 4), bool)
    with pytest.raises(InputError, match="with 2 masks"):
        figures.slice_viewer({"CT": np.zeros((3, 4, 4))}, {"m": (mask, "#009E73")})


def test_image_grid_has_the_asked_rows() -> None:
    """Ten maps at five across make a picture wider than high; four make a flat one."""
    images = {f"map {k}": np.random.default_rng(k).normal(0, 1, (16, 16)) for k in range(10)}
    mask = {"lesion": (np.eye(16) > 0, "#009E73")}
    first = figures.image_grid(images, outlines=mask, title="Maps")
    assert first.png == figures.image_grid(images, outlines=mask, title="Maps").png
    width, height = Image.open(io.BytesIO(first.png)).size
    flat_width, flat_height = Image.open(
        io.BytesIO(figures.image_grid(dict(list(images.items())[:4]), across=4).png)
    ).size
    assert flat_width / flat_height > width / height > 1.5
    assert first.alt.startswith("Maps: map 0, map 1")


@pytest.mark.parametrize(
    ("images", "words"),
    [
        ({}, "no image"),
        ({"CT": np.zeros((2, 3, 3))}, r"CT of shape \(2, 3, 3\)"),
        ({"CT": np.zeros((4, 4)), "CBF": np.zeros((4, 5))}, r"CBF of shape \(4, 5\)"),
    ],
)
def test_image_grid_refuses_what_is_no_slice(images: dict[str, np.ndarray], words: str) -> None:
    """No image, or a volume, ends in one clear line."""
    with pytest.raises(InputError, match=words):
        figures.image_grid(images)


def test_margin_around_the_head_is_cut_away() -> None:
    """A head that is twice as high as wide gives a picture higher than one of a square head."""
    tall, square = np.zeros((64, 64)), np.zeros((64, 64))
    tall[10:50, 20:40], square[20:40, 20:40] = 1.0, 1.0
    heights = [
        Image.open(io.BytesIO(figures.image_grid({"CT": head}).png)).size[1]
        for head in (tall, square)
    ]
    assert heights[0] > 1.5 * heights[1]


def test_window_leaves_the_background_out() -> None:
    """A map that is 0 outside of the brain and 5 to 6 inside has the window 5 to 6."""
    image = np.array([[0.0, 0.0, 0.0], [5.0, 6.0, 0.0]])
    assert figures.window_of(image, share=1.0) == (5.0, 6.0)
    with pytest.raises(InputError, match="only zeros"):
        figures.window_of(np.zeros((2, 2)))


def test_new_figures_are_described() -> None:
    """Explorer and browser carry alternative text that names the radiological convention."""
    figure = figures.curve_explorer(np.ones((4, 6)), _curves(), title="Tmax")
    assert "radiological view" in figure.layout.meta["alt"].lower()
    assert json.loads(figure.to_json())["layout"]["meta"]["pick"] == {"trace": 1, "slider": 0}
