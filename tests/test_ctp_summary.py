"""What the pages show of the CT-perfusion phantom is computed from its files and stays small."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from strokerepro import phantom
from strokerepro.cohort import Case, Cohort, load_cohort
from strokerepro.errors import UsageError
from strokerepro.experiment import ctp_acceptance_table, read_acceptance, summarise_phantom
from strokerepro.phantom.perfusion.deconvolution import deconvolve
from strokerepro.preprocess import brain_mask, relative_cbf
from strokerepro.records import MAX_ARRAYS_BYTES, load_arrays

Arrays = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def cohort(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    """The first two slabs, of eight slices each, coarse; the atlas is kept between test runs."""
    root = tmp_path_factory.mktemp("phantom") / "cohort"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STROKEREPRO_CACHE", str(request.config.cache.mkdir("strokerepro-phantom")))
        phantom.make_cohort("ctp", root, cases=2, size_px=48, seed=7)
    return load_cohort("phantom_ctp", root, ["ct", "cbf", "cbv", "mtt", "tmax", "dwi", "ctp"])


@pytest.fixture(scope="module")
def written(cohort: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder that the summary was written to."""
    plain = load_cohort("phantom_ctp", cohort.root)
    return summarise_phantom(plain, tmp_path_factory.mktemp("results"))


@pytest.fixture(scope="module")
def arrays(written: Path) -> Arrays:
    """The example arrays."""
    return load_arrays(written / "examples.npz")


@pytest.fixture(scope="module")
def typical(cohort: Cohort, written: Path) -> Case:
    """The case that the summary calls typical."""
    return cohort[cohort.case_ids.index(read_acceptance(written)["typical"]["case"])]


def test_two_small_files_are_written_under_the_cohorts_name(written: Path) -> None:
    """Nothing else is left, and the arrays are small enough for a checkout."""
    assert written.name == "phantom_ctp"
    assert {path.name for path in written.iterdir()} == {"acceptance.json", "examples.npz"}
    assert (written / "examples.npz").stat().st_size <= MAX_ARRAYS_BYTES


def test_the_marginals_carry_version_and_hash_and_make_a_table(written: Path) -> None:
    """A reader can tell which phantom the figures belong to."""
    content = read_acceptance(written)
    assert content["phantom_version"] == phantom.VERSIONS["ctp"]
    assert content["config_hash"] == phantom.config_hash("ctp")
    assert content["cases"] == 2
    assert len(ctp_acceptance_table(content)) == len(content["quantities"])
    assert "arterial_hu" not in content["typical"]


def test_shown_images_are_the_slices_of_the_typical_case(arrays: Arrays, typical: Case) -> None:
    """Values come back from the bytes within one step of the display range."""
    assert typical.label is not None
    per_slice = typical.label.sum(axis=(1, 2))
    first = next(
        z for z in range(5) if np.array_equal(typical.label[z : z + 4], arrays["typical/lesion"])
    )
    assert first <= per_slice.argmax() < first + 4
    brain = brain_mask(typical)
    expected = {
        "tmax": typical.arrays["tmax"],
        "cbf": relative_cbf(typical.arrays["cbf"], typical.arrays["tmax"], brain),
    }
    for name, image in expected.items():
        low, high = arrays[f"typical/{name}_range"]
        back = low + (high - low) * arrays[f"typical/{name}"] / 255
        step = (high - low) / 255
        np.testing.assert_allclose(back, np.clip(image[first : first + 4], low, high), atol=step)


def test_a_curve_and_its_maps_belong_together(arrays: Arrays) -> None:
    """Deconvolving the stored concentration gives the stored maps; the residue's peak is CBF."""
    maps = deconvolve(
        arrays["curves/concentration_hu"].T.astype(np.float64),
        arrays["curves/arterial_hu"].astype(np.float64),
        float(np.diff(arrays["curves/time_s"])[0]),
    )
    cbf = arrays["curves/cbf_ml_100g_min"]
    np.testing.assert_allclose(maps.cbf_ml_100g_min, cbf, rtol=0.02, atol=0.1)
    peak = arrays["curves/residue"].max(axis=1)
    early = arrays["curves/tmax_s"] > 0  # the others peak at a negative delay, which is cut off
    np.testing.assert_allclose(peak[early], cbf[early], rtol=0.1)


def test_curves_lie_in_the_brain_and_know_the_lesion(arrays: Arrays) -> None:
    """Every place is inside the shown slices and has its own mark."""
    z, y, x = arrays["curves/place"].astype(int).T
    np.testing.assert_array_equal(arrays["typical/lesion"][z, y, x], arrays["curves/in_lesion"])
    assert (arrays["typical/cbv"][z, y, x] > 0).all()
    assert 30 <= len(z) <= 120


def test_stored_flow_is_that_of_the_curve_times_the_unit_of_the_case(
    arrays: Arrays, typical: Case, written: Path
) -> None:
    """The map on disk and the curve on the page tell of the same flow, up to its arbitrary unit."""
    unit = read_acceptance(written)["typical"]["cbf_unit"]
    z, y, x = arrays["curves/place"].astype(int).T
    assert typical.label is not None
    first = next(
        k for k in range(5) if np.array_equal(typical.label[k : k + 4], arrays["typical/lesion"])
    )
    stored = typical.arrays["cbf"][first + z, y, x]
    found = np.median(stored / arrays["curves/cbf_ml_100g_min"])
    assert found == pytest.approx(unit, rel=0.05)


def test_the_gallery_goes_from_small_to_large(arrays: Arrays) -> None:
    """Four slices of each image, and ascending volumes."""
    volumes = arrays["gallery/lesion_ml"]
    assert list(volumes) == sorted(volumes)
    for name in ("cbf", "tmax", "dwi", "lesion"):
        assert arrays[f"gallery/{name}"].shape == (4, 48, 48)


def test_real_data_have_no_such_summary(cohort: Cohort, tmp_path: Path) -> None:
    """Only a phantom may be shown and shipped."""
    real = load_cohort("isles2018", cohort.root)
    with pytest.raises(UsageError, match="isles2018, which is no phantom"):
        summarise_phantom(real, tmp_path)
