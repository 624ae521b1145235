"""Figures: what they encode, how large they are, and that they can be read by everyone."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageColor

from strokerepro import figures
from strokerepro.errors import InputError, UsageError
from strokerepro.figures import encode


def _decode(source: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(source.split(",")[1])))


def _volume(depth: int = 4, rows: int = 6, columns: int = 8) -> np.ndarray:
    """Bright in one voxel of slice 0: front (last row), patient's left (last column) in LAS."""
    volume = np.zeros((depth, rows, columns), np.float32)
    volume[0, rows - 1, columns - 1] = 1.0
    return volume


def _head(depth: int = 24, side: int = 128) -> tuple[np.ndarray, np.ndarray]:
    """A noisy ellipsoid and a lesion in it."""
    z, y, x = np.mgrid[:depth, :side, :side]
    brain = ((y - 64) / 52) ** 2 + ((x - 64) / 42) ** 2 + ((z - 12) / 13) ** 2 < 1
    noise = np.random.default_rng(0).normal(0, 10, brain.shape)
    lesion = ((y - 80) / 12) ** 2 + ((x - 88) / 8) ** 2 + ((z - 13) / 5) ** 2 < 1
    return np.where(brain, 200 + noise + 150 * lesion, 0).astype(np.float32), lesion


def test_front_is_up_and_left_is_right() -> None:
    """A voxel at the front left of a LAS volume is drawn at the top right."""
    shown = encode.to_display(_volume(), "LAS")
    assert shown[0, 0, -1] == 1.0


@given(st.sampled_from("LR"), st.sampled_from("AP"), st.sampled_from("SI"))
def test_orientation_does_not_change_the_picture(x: str, y: str, z: str) -> None:
    """The same head stored along other directions gives the same picture."""
    volume = np.arange(24.0).reshape(2, 3, 4)  # stored as LAS
    flipped = volume[:: 1 if z == "S" else -1, :: 1 if y == "A" else -1, :: 1 if x == "L" else -1]
    np.testing.assert_array_equal(
        encode.to_display(flipped, x + y + z), encode.to_display(volume, "LAS")
    )


@pytest.mark.parametrize("orientation", ["ASL", "LA", "XYZ", ""])
def test_unusable_orientation_is_refused(orientation: str) -> None:
    """Axes in another order, or letters that mean nothing, end in one clear line."""
    with pytest.raises(UsageError, match="such as 'LAS'"):
        encode.to_display(_volume(), orientation)


def test_window_maps_to_black_and_white() -> None:
    """Values at and beyond the window's ends become 0 and 255, its middle 128."""
    values = np.array([[[-5.0, 0.0, 50.0, 100.0, 999.0]]])
    assert encode.to_grey(values, (0.0, 100.0)).tolist() == [[[0, 0, 128, 255, 255]]]


def test_constant_volume_is_black() -> None:
    """A volume without contrast is drawn black instead of dividing by zero."""
    assert not encode.to_grey(np.full((2, 3, 3), 7.0)).any()


def test_overlay_is_opaque_at_the_edge_only() -> None:
    """Outside is transparent, the outline opaque, the inside translucent, all in the colour."""
    mask = np.zeros((7, 7), bool)
    mask[1:6, 1:6] = True
    pixels = np.asarray(_decode(encode.overlay_source(mask, "#D55E00")).convert("RGBA"))
    assert pixels[0, 0, 3] == 0
    assert pixels[1, 1].tolist() == [213, 94, 0, 255]
    assert pixels[3, 3, :3].tolist() == [213, 94, 0]
    assert 0 < pixels[3, 3, 3] < 255


def test_viewer_shows_the_slice_with_most_lesion() -> None:
    """The slider starts where the first overlay is largest."""
    mask = np.zeros((4, 6, 8), bool)
    mask[1, 2, 2] = mask[2, 2:4, 2] = True
    figure = figures.slice_viewer({"DWI": _volume()}, {"lesion": (mask, "#009E73")})
    slider = figure.layout.sliders[0]
    assert slider.active == 2
    assert slider.steps[slider.active].label == "3 of 4"
    assert [trace.source for trace in figure.data] == list(slider.steps[2].args[0]["source"])


def test_viewer_slider_restyles_every_image() -> None:
    """Each step replaces the source of all traces, and of no other."""
    figure = figures.slice_viewer(
        {"a": _volume(), "b": _volume()}, {"m": (_volume() > 0, "#009E73")}
    )
    for step in figure.layout.sliders[0].steps:
        change, traces = step.args
        assert step.method == "restyle"
        assert list(traces) == [0, 1, 2, 3]
        assert len(change["source"]) == 4


def test_viewer_has_one_switch_for_each_overlay() -> None:
    """A button hides its overlay on all panels, and shows it again."""
    masks = {"truth": (_volume() > 0, "#009E73"), "ours": (_volume() > 0, "#D55E00")}
    figure = figures.slice_viewer({"a": _volume(), "b": _volume()}, masks)
    switches = {menu.buttons[0].label: menu.buttons[0] for menu in figure.layout.updatemenus}
    assert set(switches) == {"truth", "ours"}
    names = [trace.name for trace in figure.data]
    for name, button in switches.items():
        hide, traces = button.args
        assert hide == {"opacity": 0}
        assert {names[index] for index in traces} == {name}
        assert button.args2[0] == {"opacity": 1}


def test_viewer_keeps_true_proportions() -> None:
    """A voxel of 2 mm by 1 mm is drawn twice as high as wide."""
    figure = figures.slice_viewer({"a": _volume()}, spacing_mm=(5.0, 2.0, 1.0))
    assert figure.layout.yaxis.scaleratio == 2.0


def test_viewer_of_a_normal_scan_is_small() -> None:
    """A 24-slice scan of 128 x 128 with an overlay takes less than 120 kB."""
    image, lesion = _head()
    figure = figures.slice_viewer({"DWI": image}, {"lesion": (lesion, "#009E73")})
    assert len(figure.to_json()) < 120_000


@pytest.mark.parametrize(
    ("volumes", "mask_shape", "words"),
    [
        ({}, (4, 6, 8), "slices"),
        ({"a": _volume(4), "b": _volume(5)}, (4, 6, 8), r"volumes with \[4, 5\] slices"),
        ({"a": _volume()}, (4, 6, 7), "overlay 'm'"),
    ],
)
def test_volumes_that_do_not_fit_are_refused(
    volumes: dict[str, np.ndarray], mask_shape: tuple[int, ...], words: str
) -> None:
    """No volume, unequal slices, or a mask of another shape end in one clear line."""
    with pytest.raises(InputError, match=words):
        figures.slice_viewer(volumes, {"m": (np.ones(mask_shape, bool), "#009E73")})


def _browsed(label: str, columns: int) -> figures.BrowsedCase:
    volume = _volume(3, 6, columns)
    return figures.BrowsedCase(label, {"DWI": volume}, {"truth": (volume > 0, "#009E73")})


def test_browser_shows_one_case_at_a_time() -> None:
    """Choosing a case shows its images, its slider and its proportions, and hides the others."""
    figure = figures.case_browser([_browsed("best", 8), _browsed("worst", 10)])
    assert [trace.visible for trace in figure.data] == [True, True, False, False]
    assert [slider.visible for slider in figure.layout.sliders] == [True, False]
    shown, layout = figure.layout.updatemenus[0].buttons[1].args
    assert shown == {"visible": [False, False, True, True]}
    assert layout["sliders[0].visible"] is False
    assert layout["sliders[1].visible"] is True
    assert layout["xaxis.range"] == [-0.5, 9.5]
    assert list(figure.layout.sliders[1].steps[0].args[1]) == [2, 3]


def test_single_slice_has_no_slider() -> None:
    """Cases of one slice are chosen from the list, and no slider is shown for any of them."""
    cases = [figures.BrowsedCase(label, {"CT": _volume(1)}) for label in ("small", "large")]
    figure = figures.case_browser(cases)
    assert [slider.visible for slider in figure.layout.sliders] == [False, False]
    _, layout = figure.layout.updatemenus[0].buttons[1].args
    assert [layout[f"sliders[{number}].visible"] for number in (0, 1)] == [False, False]


def test_browser_refuses_cases_it_cannot_switch_between() -> None:
    """Cases with different overlays, or none at all, end in one clear line."""
    other = figures.BrowsedCase("other", {"DWI": _volume(3)})
    with pytest.raises(InputError, match="different panels"):
        figures.case_browser([_browsed("best", 8), other])
    with pytest.raises(InputError, match="no case"):
        figures.case_browser([])


def _table(**more: Any) -> pd.DataFrame:
    rows = [
        {"row": row, "metric": metric, "paper": 0.5, "ours": 0.4, "data": "phantom_dwi"}
        for row in ("EDD", "MUSCLE")
        for metric in ("Dice", "m#FP")
    ]
    return pd.DataFrame(rows).assign(**more)


def test_paper_and_ours_differ_in_shape_and_name_their_data() -> None:
    """Paper and ours have different symbols and colours, and legends that name the data."""
    figure = figures.paper_vs_ours(_table(paper_data="741 patients"))
    legend = {trace.name: trace.marker for trace in figure.data if trace.showlegend}
    assert set(legend) == {"paper (741 patients)", "ours (phantom_dwi)"}
    paper, ours = legend["paper (741 patients)"], legend["ours (phantom_dwi)"]
    assert paper.symbol != ours.symbol
    assert paper.color != ours.color


def test_a_number_we_do_not_have_is_not_drawn() -> None:
    """Rows without a number of ours add neither a dot nor a legend entry."""
    figure = figures.paper_vs_ours(_table(ours=np.nan, data="not run"))
    assert not [trace for trace in figure.data if trace.name.startswith("ours")]


def test_paper_vs_ours_names_missing_columns() -> None:
    """A table without a needed column is refused by that column's name."""
    with pytest.raises(InputError, match="without data"):
        figures.paper_vs_ours(_table().drop(columns="data"))


def test_interval_is_drawn_relative_to_our_number() -> None:
    """An interval of 0.3 to 0.6 around 0.4 reaches 0.1 down and 0.2 up."""
    figure = figures.paper_vs_ours(_table(ours_low=0.3, ours_high=0.6))
    error = next(trace for trace in figure.data if trace.name.startswith("ours")).error_x
    assert error.arrayminus[0] == pytest.approx(0.1)
    assert error.array[0] == pytest.approx(0.2)


def test_undefined_dice_is_left_out_and_counted() -> None:
    """Empty references and undefined scores are not drawn, and the description counts them."""
    rows = [
        {"case_id": "a", "dice": 0.5, "volume_ml_truth": 2.0},
        {"case_id": "b", "dice": np.nan, "volume_ml_truth": 2.0},
        {"case_id": "c", "dice": 0.0, "volume_ml_truth": 0.0},
    ]
    figure = figures.dice_vs_volume(rows)
    assert list(figure.data[0].text) == ["a"]
    assert "2 with an undefined Dice" in figure.layout.meta["alt"]


@pytest.mark.parametrize("log_x", [False, True])
def test_histogram_says_the_share_below_the_cut(log_x: bool) -> None:
    """Three of four values at or below the cut are 75 %, on the figure and in its description."""
    figure = figures.histogram([1, 2, 60, 61], 60, x_title="size (px)", bins=4, log_x=log_x)
    assert sum(figure.data[0].y) == 4
    assert any("75.0% at or below 60" in note.text for note in figure.layout.annotations)
    assert "75.0%" in figure.layout.meta["alt"]


def test_curves_differ_by_dash_as_well() -> None:
    """No two of the first six curves share a dash, so that colour is not the only cue."""
    curves = {name: [[0, 1.0], [10, 0.5]] for name in "abcdef"}
    figure = figures.training_curves(curves, {"a": "loss of EDD"})
    assert len({trace.line.dash for trace in figure.data}) == 6
    assert figure.data[0].name == "loss of EDD"


def _all_figures() -> list[go.Figure]:
    rows = [{"case_id": "a", "dice": 0.5, "volume_ml_truth": 2.0, "output": "edd"}]
    return [
        figures.slice_viewer({"a": _volume()}, {"m": (_volume() > 0, "#009E73")}),
        figures.case_browser([_browsed("best", 8)]),
        figures.training_curves({"loss": [[0, 1.0]]}),
        figures.paper_vs_ours(_table()),
        figures.dice_vs_volume(rows),
        figures.histogram([1.0, 2.0], 1.5),
    ]


def test_every_figure_is_described_and_transparent() -> None:
    """Each figure has alternative text, no template, and no ground of its own."""
    for figure in _all_figures():
        assert len(figure.layout.meta["alt"]) > 20
        assert figure.layout.paper_bgcolor == "rgba(0,0,0,0)"
        template = json.dumps(figure.layout.template.to_plotly_json())
        assert len(template) < 100  # plotly's default template alone is 7 kB


def _luminance(colour: str) -> float:
    """Relative luminance (WCAG 2.2)."""
    channels = np.array(ImageColor.getrgb(colour)[:3]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


@pytest.mark.parametrize("colour", figures.PALETTE.values(), ids=figures.PALETTE.keys())
@pytest.mark.parametrize("ground", ["#ffffff", "#121212"], ids=["light", "dark"])
def test_colours_stand_out_in_both_themes(colour: str, ground: str) -> None:
    """Each colour has a contrast of 3:1, WCAG's bound for graphics, on either theme's ground."""
    high, low = sorted((_luminance(colour), _luminance(ground)), reverse=True)
    assert (high + 0.05) / (low + 0.05) >= 3.0


def test_overview_is_a_described_png(tmp_path: Any) -> None:
    """The static overview writes a PNG, the same bytes each time, and says what it shows."""
    image, lesion = _head(8, 128)
    path = tmp_path / "overview.png"
    options = {"title": "Case 1", "tiles": 4}
    first = figures.static_overview(image, {"lesion": (lesion, "#009E73")}, path=path, **options)
    again = figures.static_overview(image, {"lesion": (lesion, "#009E73")}, **options)
    assert path.read_bytes() == first.png == again.png
    content, metadata = first._repr_mimebundle_()
    assert base64.b64decode(content["image/png"]) == first.png
    assert metadata["image/png"]["alt"].startswith("Case 1: 4 slices with outlines of lesion")


def test_frequency_map_refuses_an_empty_map() -> None:
    """A map without a lesion is refused before any slice is chosen."""
    with pytest.raises(InputError, match="empty map"):
        figures.lesion_frequency_map(np.zeros((4, 4, 4)), np.eye(4))


def test_frequency_map_draws_on_the_template() -> None:
    """A map with a lesion gives a PNG wider than high."""
    volume = np.zeros((20, 24, 20))
    volume[8:12, 8:12, 8:12] = 0.5
    affine = np.diag([8.0, 8.0, 8.0, 1.0])
    affine[:3, 3] = (-80, -110, -60)
    picture = figures.lesion_frequency_map(volume, affine)
    width, height = Image.open(io.BytesIO(picture.png)).size
    assert width > 2 * height
