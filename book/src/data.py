# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # The data
#
# Four of the five papers use images behind a registration or an application, the fifth a private
# cohort. So this project has loaders for real sets, an open one first, *and* makes its own
# patients: a **phantom**, written as files in exactly the layout of the real set, so that the same
# code runs on both.
#
# [Open this chapter in Colab](https://colab.research.google.com/github/strokerepro/strokerepro/blob/main/book/data.ipynb)

# %% tags=["parameters"]
profile: str = "quick"
data: str = "phantom"
root: str = ""
results_dir: str = (
    ""  # a folder with your own `strokerepro phantom describe` output
)
folds: str = ""
seed: int = 0
device: str = "auto"
train: str = "never"

# %%
import importlib.util
import subprocess
import sys

if (
    "google.colab" in sys.modules
    and importlib.util.find_spec("strokerepro") is None
):
    source = "strokerepro @ git+https://github.com/strokerepro/strokerepro"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", source], check=True
    )

# %%
from pathlib import Path

import pandas as pd
from IPython.display import display
from strokerepro import figures, report
from strokerepro.experiment import (
    acceptance_table,
    read_acceptance,
    volume_table,
)
from strokerepro.files import bundled
from strokerepro.manifest import load_manifest, manifest_names
from strokerepro.phantom.config import SOURCES, describe
from strokerepro.phantom.dwi_config import DWI
from strokerepro.records import load_arrays

# %%
results = Path(results_dir) if results_dir else bundled("results")
folder = results / "phantom_dwi"
examples = load_arrays(folder / "examples.npz")
found = read_acceptance(folder)

# %% [markdown]
# ## Which sets there are, and how to get them
#
# A *manifest* describes each set: its layout on disk, modalities, licence, how to obtain it,
# patients, folds, and the hash of its archive where that is known.

# %% tags=["nbval-check-output"]
manifests = [load_manifest(name) for name in manifest_names()]
sets = [
    {
        "name": m.name,
        "content": m.title,
        "licence": m.licence,
        "how to get it": m.access,
    }
    for m in manifests
]
display(report.TextTable(pd.DataFrame(sets)))

# %% [markdown]
# `strokerepro data verify isles2022 --root DIR` says precisely what is there and what is missing;
# `strokerepro data fetch isles2022 --root DIR` downloads the open set (1.7 GB), continues a broken
# download, checks its hash, and unpacks nothing outside of the folder.
#
# On Colab, data mounted from a drive remain yours to govern: this project reads them in place,
# copies nothing, and writes only scores into its records. Sets under an agreement must not be
# placed in a shared drive.
#
# What is peculiar to each real set, and handled and tested here:

# %% tags=["nbval-check-output"]
isles = load_manifest("isles2022")
display(report.TextTable(pd.DataFrame({"ISLES 2022": isles.quirks})))

# %% [markdown]
# ## The diffusion phantom
#
# Each subject is made in five steps. Every constant stands in one configuration with its source,
# or the mark that there is none.
#
# 1. **Anatomy.** Tissue maps of the MNI template {cite:p}`fonov2011mni` are shifted, tilted and
#    warped for each subject. The template is exactly symmetric; the warp is drawn separately for
#    left and right, or every symmetry experiment would be trivially perfect.
# 2. **Lesions.** Lacunes, embolic showers and territorial infarcts, with log-normal sizes, in
#    arterial territories; old infarcts and white-matter disease to confuse a network.
# 3. **Signal.** The diffusion and T2 decay of each tissue. A lesion loses diffusivity, gains T2.
# 4. **Artefacts from physics.** Air in sinuses and mastoids has another susceptibility. Its dipole
#    field shifts and piles up the signal of an echo-planar image: bright crescents, often on both
#    sides, where no lesion is.
# 5. **Scanner.** Coil profile, Rician noise, thick slices with a gap, brain extraction.

# %%
TITLES = {
    "lacune": "a lacune",
    "shower": "an embolic shower",
    "territorial": "an infarct",
}
LESION = {"lesion": figures.PALETTE["green"]}
figures.case_browser(figures.stored_cases(examples, TITLES, LESION))

# %% [markdown]
# One typical case of each type, the one with the median lesion volume. Use the list to change
# the case and the slider to move through its slices. Lacunes are small and faint; what
# is bright at the skull base is not a lesion.
#
# ## Where the lesions lie
#
# The lesions of all subjects, carried back to MNI space and counted.

# %%
counts, affine = examples["frequency"], examples["frequency_affine"]
figures.lesion_frequency_map(counts / found["subjects"], affine)

# %% [markdown]
# ## Does it look like the published cohorts?
#
# The phantom was set on the marginals below and on nothing else, then frozen and hashed before
# any network was trained on it. A test fails if a single constant changes.

# %%
table = acceptance_table(found)
display(report.TextTable(table))
print(
    "version",
    found["phantom_version"],
    "configuration",
    found["config_hash"][:16],
)

# %% [markdown]
# The committed cohort is a small draw, so its means scatter around those of the configuration.
# Beside these, the volumes of a public cohort of acute lesions {cite:p}`absher2024soop`, which we
# show and did not fit: its lesions are larger than the phantom's.

# %%
volume_table(found)

# %% [markdown]
# ## What a phantom cannot tell
#
# - Its artefacts and lesions are drawn from the same few formulas in training and test subjects.
#   A network that learns the formulas looks better than it is.
# - The contrast of small lesions decides how much a second stage such as MUSCLE Net can gain. A
#   designer could create or erase the gain; here the contrast is set by a published signal ratio,
#   and never by a score.
# - There is one rater, who is always right. Real borders are a matter of opinion.
# - There are no eyes, no skull, no motion, no metal, no second disease.
#
# So every result on it is worded as one *on the phantom*, and no number of it stands beside a
# paper's number without saying so. What would change with real scans is written in each chapter.
#
# ## Every constant of the phantom
#
# With its unit and source; *A* marks an assumption without one.

# %%
knobs = pd.DataFrame([vars(row) for row in describe(DWI)]).astype(str)
display(report.TextTable(knobs))
sources = pd.DataFrame(SOURCES.items(), columns=["source", "what it is"])
display(report.TextTable(sources))
