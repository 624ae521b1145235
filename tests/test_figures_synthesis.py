"""Figures of a GAN: pairs of images, what a discriminator sees, and how its training went."""

from __future__ import annotations

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

from strokerepro import figures
from strokerepro.errors import InputError
from strokerepro.figures.synthesis import signed_grey


def _pair(label: str = "best", depth: int = 3) -> figures.DwiPair:
    real = np.zeros((depth, 8, 8), np.uint8)
    real[1] = 100
    generated = real.copy()
    generated[1, 2, 5] = 200
    reference = np.zeros_like(real)
    reference[1, 2:4, 5:7] = 1
    masks = {"prediction": (reference, figures.PALETTE["vermillion"])}
    return figures.DwiPair(label, real, generated, reference, masks)


def _decode(source: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(source.split(",")[1])))


def _picture(source: str) -> np.ndarray:
    return np.asarray(_decode(source).convert("L"))


def test_difference_is_grey_where_both_agree() -> None:
    """Equal: 128. Brighter by half of the window: 128 + 64; darker by twice of it: black."""
    real = np.array([[[0.2, 0.2, 1.0]]], np.float32)
    generated = np.array([[[0.2, 0.7, -1.0]]], np.float32)
    assert signed_grey(real, generated, (0.0, 1.0)).tolist() == [[[128, 192, 1]]]


def test_difference_of_8_bit_images_does_not_wrap() -> None:
    """0 minus 255 is the darkest grey, not a small positive number."""
    dark, bright = np.zeros((1, 1, 1), np.uint8), np.full((1, 1, 1), 255, np.uint8)
    assert signed_grey(bright, dark, (0.0, 1.0)).item() == 1
    assert signed_grey(dark, bright, (0.0, 1.0)).item() == 255


def test_pairs_have_four_panels_and_one_slider_a_case() -> None:
    """Real, generated, difference and reference, over each the same masks."""
    figure = figures.dwi_pairs([_pair(), _pair("worst")])
    titles = [note.text for note in figure.layout.annotations][:4]
    assert titles == ["real DWI", "generated DWI", "generated minus real", "reference"]
    assert len(figure.layout.sliders) == 2
    names = [trace.name for trace in figure.data]
    assert names.count("prediction") == names.count("real DWI") * 4 == 8


def test_masks_leave_the_generated_image_legible() -> None:
    """The prediction is drawn over the real image and the reference, and on no other panel."""
    sources = [t.source for t in figures.dwi_pairs([_pair()]).data if t.name == "prediction"]
    drawn = [np.asarray(_decode(source).convert("RGBA"))[..., 3].any() for source in sources]
    assert drawn == [True, False, False, True]


def test_both_images_share_one_window() -> None:
    """A generated image that is twice as bright is drawn twice as bright, not stretched anew."""
    real = np.full((1, 4, 4), 0.25, np.float32)
    empty = np.zeros((1, 4, 4), np.uint8)
    pair = figures.DwiPair("case", real, 2 * real, empty, {})
    shown = {
        trace.name: _picture(trace.source).mean()
        for trace in figures.dwi_pairs([pair]).data
        if trace.name in ("real DWI", "generated DWI")
    }
    assert shown["real DWI"] == pytest.approx(64, abs=3)
    assert shown["generated DWI"] == pytest.approx(128, abs=3)


def test_pairs_of_several_grids_are_refused() -> None:
    """A generated image of another shape raises one line that names both shapes."""
    real = np.zeros((2, 4, 4))
    with pytest.raises(InputError, match=r"generated of shape \(2, 4, 5\)"):
        figures.DwiPair("case", real, np.zeros((2, 4, 5)), real, {})
    with pytest.raises(InputError, match="no pair"):
        figures.dwi_pairs([])


def test_each_score_has_its_square() -> None:
    """Two by two squares of 3 px in 8 px: the second step frames columns 2 to 4 of the picture."""
    figure = figures.patch_fields(np.ones((8, 8)), [0, 2], 3, orientation="LPS")
    (slider,) = figure.layout.sliders
    assert [step.label for step in slider.steps] == ["1 of 4", "2 of 4", "3 of 4", "4 of 4"]
    change, traces = slider.steps[1].args
    assert list(traces) == [2]
    assert (min(change["x"][0]), max(change["x"][0])) == (1.5, 4.5)
    assert (min(change["y"][0]), max(change["y"][0])) == (-0.5, 2.5)


def test_squares_follow_the_orientation() -> None:
    """Stored row 0 is the back of the head in LAS: its square is drawn at the bottom."""
    figure = figures.patch_fields(np.ones((8, 8)), [0, 2], 3)
    frame = figure.data[2]
    assert (min(frame.y), max(frame.y)) == (4.5, 7.5)


def test_unseen_pixels_are_marked_and_counted() -> None:
    """Squares reach to 5 of 8 px: three rows and three columns in blue, 64 - 25 pixels."""
    figure = figures.patch_fields(np.ones((8, 8)), [0, 2], 3, orientation="LPS")
    assert "39 pixels in blue" in figure.layout.meta["alt"]
    bands = [(shape.x0, shape.y0) for shape in figure.layout.shapes]
    assert bands == [(-0.5, 4.5), (-0.5, 5.5), (-0.5, 6.5), (4.5, -0.5), (5.5, -0.5), (6.5, -0.5)]


def test_click_on_a_centre_means_its_score() -> None:
    """The page's script is told the trace of the centres, which has one point a step."""
    figure = figures.patch_fields(np.ones((8, 8)), [0, 2], 3)
    pick = figure.layout.meta["pick"]
    assert len(figure.data[pick["trace"]].x) == len(figure.layout.sliders[0].steps)


@pytest.mark.parametrize("starts", [[], [0, 6]])
def test_square_outside_of_the_image_is_refused(starts: list[int]) -> None:
    """No square, or one that leaves the image, raises one line."""
    with pytest.raises(InputError, match="squares of 3 px"):
        figures.patch_fields(np.ones((8, 8)), starts, 3)


def test_dynamics_share_the_axis_of_epochs() -> None:
    """Losses above on a logarithmic axis, scores and their targets below; steps become epochs."""
    figure = figures.adversarial_curves(
        {"D": [[10, 0.5], [20, 0.4]], "G": [[10, 2.0], [20, 1.0]]},
        {"real": [[10, 0.6], [20, 0.9]]},
        targets={"real": 1.0, "generated": 0.0},
        steps_per_epoch=10,
    )
    assert [list(trace.x) for trace in figure.data] == [[1, 2]] * 3
    assert [trace.yaxis for trace in figure.data] == ["y", "y", "y2"]
    assert figure.layout.yaxis.type == "log"
    assert figure.layout.yaxis2.type != "log"
    assert {shape.y0 for shape in figure.layout.shapes} == {0.0, 1.0}
    assert figure.layout.xaxis2.title.text == "epoch"
    json.loads(figure.to_json())


def test_dynamics_without_scores_say_so() -> None:
    """A record without adversarial training has no panel of scores to draw."""
    with pytest.raises(InputError, match="no scores"):
        figures.adversarial_curves({"D": [[1, 0.5]]}, {})


def test_steps_are_constant_up_to_the_next_one() -> None:
    """A learning rate is drawn as a staircase: each value holds until the next epoch."""
    figure = figures.line_chart(
        {"lr": ([0, 100, 300], [4.0, 2.0, 1.0])}, x_title="epoch", y_title="rate", steps=True
    )
    assert figure.data[0].line.shape == "hv"
    assert figure.layout.meta["alt"] == "rate over epoch: lr."
