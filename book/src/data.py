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
# Four of the five papers use images that must be asked for or fetched elsewhere, the fifth a private
# cohort. So this project has loaders for real sets, an open one first, *and* makes its own
# patients: **phantoms**, written as files in exactly the layout of the real set, so that the same
# code runs on both. There are two so far, one of diffusion MRI and one of CT perfusion.
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
import json
from pathlib import Path

import numpy as np
import pandas as pd
from IPython.display import Markdown, display
from strokerepro import figures, report
from strokerepro.experiment import (
    acceptance_table,
    ctp_acceptance_table,
    read_acceptance,
    volume_table,
)
from strokerepro.files import bundled
from strokerepro.manifest import load_manifest, manifest_names
from strokerepro.phantom.config import SOURCES, describe
from strokerepro.phantom.ctp_config import CTP
from strokerepro.phantom.dwi_config import DWI
from strokerepro.records import load_arrays

# %%
results = Path(results_dir) if results_dir else bundled("results")
ctp = load_arrays(results / "phantom_ctp" / "examples.npz")
typical = {
    key.removeprefix("typical/"): array
    for key, array in ctp.items()
    if key.startswith("typical/")
}
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
# ### ISLES 2018: where its files belong
#
# The set of {doc}`core_resnet` {cite:p}`hakim2021isles`. The table above says where it is to be had; we
# have not looked at its images, and pass nothing on. Unpack it so that the folders look like this. The
# numbers in the names differ from file to file and mean nothing:
#
# ```text
# DIR/TRAINING/case_1/SMIR.Brain.XX.O.CT.345562/SMIR.Brain.XX.O.CT.345562.nii
#                    /SMIR.Brain.XX.O.CT_4DPWI.345561/...    the series
#                    /SMIR.Brain.XX.O.CT_CBF.345563/...      and CT_CBV, CT_MTT, CT_Tmax
#                    /SMIR.Brain.XX.O.OT.345566/...          the infarct core
#              /case_2 ... /case_94
# DIR/TESTING/case_1 ... /case_62                            no masks
# ```
#
# `strokerepro data verify isles2018 --root DIR` then lists what is missing, case by case. After that
# each chapter on CT perfusion runs with `-p data isles2018 -p root DIR`, and each training with
# `--data isles2018 --root DIR`.
#
# What is peculiar to each real set, and handled and tested here:

# %% tags=["nbval-check-output"]
for name, title in (("isles2018", "ISLES 2018"), ("isles2022", "ISLES 2022")):
    quirks = load_manifest(name).quirks
    display(report.TextTable(pd.DataFrame({title: quirks})))

# %% [markdown]
# One of these decides scores: two slabs of one patient look alike. Folds that part them test on
# patients of the training set. How many patients does a split part, if it forgets?

# %% tags=["nbval-check-output"]
isles = load_manifest("isles2018")
patients = pd.Series(isles.patients.mapping)
blocks = np.arange(len(patients)) // 19
shuffled = np.random.default_rng(0).permutation(blocks)
for name, fold in (
    ("blocks of 19 cases", blocks),
    ("cases at random", shuffled),
):
    parted = pd.Series(fold, patients.index).groupby(patients).nunique() > 1
    print(f"{name}: {parted.sum()} of {patients.nunique()} patients parted")

# %% [markdown]
# ## The CT perfusion phantom
#
# Each simulated case has the geometry of the real case of the same number: slices, thickness, pixels,
# time points, and which two slabs are one patient. The images come about in six steps.
#
# 1. **Anatomy.** Tissue maps of the MNI template {cite:p}`fonov2011mni`, shifted, tilted and warped,
#    left and right separately, then cut into the slab.
# 2. **Occlusion.** An artery is closed. Its territory loses flow, less at the border, where
#    collaterals help; what blood arrives comes late and dispersed. Some patients have a chronic
#    stenosis, an old infarct, or both: bait for a network.
# 3. **Contrast agent.** The artery's curve is a gamma variate with recirculation. A voxel's curve
#    is flow times the convolution of the artery with the residue function, shifted by the delay.
# 4. **Scanner.** A frame each second, with quantum noise correlated in plane, in whole Hounsfield
#    units.
# 5. **Maps.** Nobody paints them. They are calculated from the noisy series by smoothing and block-circulant
#    deconvolution {cite:p}`wu2003deconvolution`, as the scanner's software does, and CBF and CBV are stored in
#    a unit of their own for each case, as in the real files.
# 6. **Fate.** Hours later tissue has died: where the flow was below a threshold that differs between
#    patients and from place to place. The diffusion image shows it, slightly shifted, and so does
#    the reference mask. *The maps know nothing of step 6*; the plain CT shows a trace of it, a faint
#    oedema.

# %%
KEYS = ("ct", "peak", "cbf", "cbv", "mtt", "tmax", "dwi")
STEPS = (
    "1: CT",
    "4: peak, series",
    "5: CBF",
    "5: CBV",
    "5: MTT",
    "5: Tmax",
    "6: DWI",
)
widest = int(typical["lesion"].sum(axis=(1, 2)).argmax())
slices = {
    f"step {step}": typical[key][widest]
    for step, key in zip(STEPS, KEYS, strict=True)
}
outline = {"reference": (typical["lesion"][widest], figures.PALETTE["green"])}
title = "One slice of a typical case, by the step that it comes from"
figures.image_grid(slices, across=4, outlines=outline, title=title)

# %% [markdown]
# Step 6 is why no method can be perfect on the maps: two patients with the same maps can have
# different infarcts. {doc}`core_resnet` has the curves behind the maps, voxel by voxel.
#
# In the next figure the two rules of the clinic can be switched on beside the reference: flow below
# 30 % of normal tissue, and Tmax above six seconds. Below it, four cases from small to large.

# %%
COLOURS = {"lesion": "green", "rcbf30": "vermillion", "tmax6": "blue"}
RULES = {"lesion": "reference", "rcbf30": "CBF < 30 %", "tmax6": "Tmax > 6 s"}
shown = {"CBF": "cbf", "Tmax": "tmax", "DWI": "dwi"}
figures.slice_viewer(
    {name: typical[key] for name, key in shown.items()},
    {
        RULES[key]: (typical[key], figures.PALETTE[colour])
        for key, colour in COLOURS.items()
    },
    spacing_mm=tuple(typical["spacing_mm"].tolist()),
)

# %%
cases = []
for number, volume_ml in enumerate(ctp["gallery/lesion_ml"]):
    panels = {
        name: ctp[f"gallery/{key}"][number][None]
        for name, key in shown.items()
    }
    mask = ctp["gallery/lesion"][number][None]
    reference = {"reference": (mask, figures.PALETTE["green"])}
    label = f"lesion of {volume_ml:.1f} mL"
    cases.append(figures.BrowsedCase(label, panels, reference))
figures.case_browser(cases)

# %% [markdown]
# Late blood reaches beyond what has died, low flow is nearer to it, and neither has its borders.
#
# ### Does it look like the real cohort?
#
# Nobody here has seen the real images. But third parties published numbers for all 94 real cases: volumes of
# lesions, and how two clinical threshold rules do. The phantom was set on such marginals until they met two bounds
# that were fixed before: a Kolmogorov-Smirnov distance (KS) of at most 0.25, and a mean within 20 %. Then it
# was frozen and hashed, and only then networks were trained on it.
#
# This is its second version, and its history belongs here. Version 1 met the bounds on the cohorts it was set on and on
# few others: with 63 patients, means of skewed volumes vary by about as much as the bounds allow. So the
# draws that decide the size of a stroke are now spread evenly over the patients of a cohort (a Latin hypercube
# {cite:p}`mckay1979lhs`), and two knobs were set anew, on cohorts of the seeds 1 and 2. Networks had been trained on version
# 1, and on prototypes before; no score of theirs led to a change, and none on version 2 existed when it was frozen.
# The cohort that all chapters use is the one of seed 1. That it passes is therefore no surprise:

# %%
accepted = read_acceptance(results / "phantom_ctp")
display(report.TextTable(ctp_acceptance_table(accepted)))
print(
    "version",
    accepted["phantom_version"],
    "configuration",
    accepted["config_hash"][:16],
)
# %% [markdown]
# *Fitted* are the rows that the knobs were set on. The real test are cohorts that they were not set on. Seed 2018 is among
# them because it had been chosen for the chapters beforehand, and was not taken, since it misses a bound.

# %%
from strokerepro.experiment.ctp_seeds import seeds_table


def stored(name):
    """A file that a slow command wrote, or None and one line that says which."""
    file = results / "phantom_ctp" / f"{name}.json"
    if file.is_file():
        return json.loads(file.read_text("utf-8"))
    print(f"no {file.name}: run strokerepro phantom {name} --out DIR")
    return None


if drawn := stored("seeds"):
    print("knobs set on seeds", drawn["fitted_seeds"])
    columns = {"index": "quantity", "columns": "seed"}
    table = seeds_table(drawn).pivot(**columns, values=["KS", "mean / real"])
    display(table.round(2))

# %% [markdown]
# Two of the four others meet all bounds. Seed 2018 misses the distance of the lesion volumes, and seed 5 that, their mean, and both bounds on either
# rule on flow. On average the four are within 20 % of the real means, at its edge for the first rule. So cohorts of one and the same phantom still differ,
# and the phantom as a whole is a little kinder to the rules than reality is.
#
# What misfits in the cohort of the chapters: infarcts that fill much of their slab are too rare, the rule on flow finds nothing at all in twice as many cases
# as in reality, and the volume of delayed tissue tells more about that of the lesion than it does there. The rule on Tmax, which was not
# fitted, agrees with the reference a little better than in the real cases, and in most other cohorts clearly better. So
# *on this phantom the maps, Tmax above all, know more than real maps do*: expect scores on maps that are too
# good.
#
# ### Why diffusion MRI knows more, and who decided that
#
# No network here: a classifier of single voxels is trained on each image and scored on other patients by
# average precision (AP: 1 is perfect, the share of lesion voxels is chance). First on the phantom
# as it is. Then one hidden cause after the other is switched off, then all of them; in the last row
# every knob is shifted by up to 30 %.

# %%
from strokerepro.experiment.information_content import (
    information_table,
    inputs_table,
)

if information := stored("information"):
    display(report.TextTable(inputs_table(information), digits=3))
    display(report.TextTable(information_table(information), digits=3))

# %% [markdown]
# The diffusion image knows far more than the maps, and the plain CT next to nothing. Of the single causes the
# local vulnerability of the tissue counts most: without it more than half of the gap closes. One threshold for all
# patients and images that lie exactly over each other help a little; reperfusion, noise and oedema
# hardly. Without all of them the maps come so close that the rest of the gap may be chance. So the gap is made of draws that no CT can see, and
# *their size is ours*: an assumption, set so that the clinical rule agrees with the reference as it does in reality.
#
# With all knobs shifted the gap is still there, and a little smaller; in version 1 it was much smaller. What survives is its direction: diffusion MRI
# knows more than the maps. How much more depends on the knobs, and so does any number that rests on it.
#
# ### What it preserves of real data, and what it does not
#
# | preserved | not preserved |
# |---|---|
# | slices, thickness, pixel size, time points, slabs of one patient | motion between frames, bone streaks, metal |
# | units that differ from case to case, thick slices, noise of the series | vendor software beyond deconvolution: its arterial input is nearly right here |
# | volumes of lesions and of delayed tissue, and scores of the clinical rules, as distributions | which lesion belongs to which patient, age, time, side |
# | delay, dispersion, collaterals, luxury perfusion, stenosis, old infarcts | real vascular anatomy: territories are distances to a few points |
# | a reference drawn on another image at another time | raters: here one, always the same, never tired |
#
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
# ### Where the lesions lie
#
# The lesions of all subjects, carried back to MNI space and counted.

# %%
counts, affine = examples["frequency"], examples["frequency_affine"]
figures.lesion_frequency_map(counts / found["subjects"], affine)

# %% [markdown]
# ### Does it look like the published cohorts?
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
# ## The danger of learning about methods from a phantom
#
# - Artefacts and lesions are drawn from the same few formulas in training and test subjects.
#   A network that learns the formulas looks better than it is.
# - *A knob can be a result.* The contrast of small lesions decides how much a second stage such as
#   MUSCLE Net can gain; the spread of the infarct threshold decides how much better diffusion MRI is
#   than CT. A designer could create or erase both. Here such knobs are set by published numbers,
#   or marked as assumptions, and never by a score of a network.
# - *Looking once is tuning.* Whoever trains, sees a score and changes the phantom has fitted it to
#   the method. So the configuration is hashed and frozen first; a test fails if a constant changes.
# - There is one rater, who is always right. Real borders are a matter of opinion.
# - There are no eyes, no motion, no metal, no second disease.
# - Small effects need many patients. A phantom can make any number of them, and a tiny difference of
#   no importance significant.
#
# So every result on a phantom is worded as one *on the phantom*, and no number of it stands beside a
# paper's number without saying so. A conclusion that survives the shifted draw above is worth a
# try on real scans; one that does not is about our knobs.
#
# ## Every constant of the phantoms
#
# With its unit and source; *A* marks an assumption without one.

# %% tags=["hide-output"]
for title, config in (("CT perfusion", CTP), ("diffusion", DWI)):
    knobs = pd.DataFrame([vars(row) for row in describe(config)]).astype(str)
    display(Markdown(f"**{title}**"), report.TextTable(knobs))
sources = pd.DataFrame(SOURCES.items(), columns=["source", "what it is"])
display(report.TextTable(sources))
