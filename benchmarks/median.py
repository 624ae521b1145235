"""In-plane median and threshold of a probability map: votes by box sums against SciPy and OpenCV.

Run with ``OMP_NUM_THREADS=1 python benchmarks/median.py [rounds]``. The masks of both sides are
compared in the same run, before the timing. OpenCV is timed if it is installed; it repeats the
outermost pixel beyond the border where SciPy mirrors, so its masks are compared inside.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import numpy as np
from _measure import compare
from scipy import ndimage

from strokerepro.postprocess import median_mask

try:
    import cv2
except ImportError:
    cv2 = None

SHAPE = (22, 256, 256)  # the largest number of slices in ISLES 2018
THRESHOLD = 0.5
Filter = Callable[[np.ndarray, int], np.ndarray]


def make_maps() -> dict[str, np.ndarray]:
    """Probability maps of a noisy lesion in a third of the slices, and of blobs everywhere."""
    rng = np.random.default_rng(0)
    z, y, x = np.indices(SHAPE)
    noise = ndimage.gaussian_filter(rng.normal(size=SHAPE), (0, 1.5, 1.5))
    noise /= noise.std()
    inside_px = 26 - np.sqrt((7 * (z - SHAPE[0] / 2)) ** 2 + (y - 150) ** 2 + (x - 90) ** 2)
    logits = {"one lesion": inside_px / 3 + noise, "lesion everywhere": noise}
    return {name: (1 / (1 + np.exp(-logit))).astype(np.float32) for name, logit in logits.items()}


def ours(probability: np.ndarray, size: int) -> np.ndarray:
    """Threshold, then the median of the mask."""
    return median_mask(probability > THRESHOLD, size)


def scipy_probabilities(probability: np.ndarray, size: int) -> np.ndarray:
    """The median of the probabilities, then the threshold, as the paper's order has it."""
    smoothed: np.ndarray = ndimage.median_filter(probability, size=(1, size, size))
    return smoothed > THRESHOLD


def scipy_mask(probability: np.ndarray, size: int) -> np.ndarray:
    """Threshold, then SciPy's median of the mask as bytes."""
    mask = (probability > THRESHOLD).view(np.uint8)
    return ndimage.median_filter(mask, size=(1, size, size)).view(np.bool_)


def opencv_mask(probability: np.ndarray, size: int) -> np.ndarray:
    """Threshold, then OpenCV's median of the mask, slice by slice."""
    mask = (probability > THRESHOLD).view(np.uint8)
    return np.stack([cv2.medianBlur(one, size) for one in mask]).view(np.bool_)


def require_equal(probability: np.ndarray, size: int, peer: Filter) -> None:
    """Stop the benchmark unless both masks are equal; beside OpenCV's only away from borders."""
    reach = size // 2 if peer is opencv_mask else 0
    inner = np.s_[:, reach : SHAPE[1] - reach, reach : SHAPE[2] - reach]
    if not np.array_equal(ours(probability, size)[inner], peer(probability, size)[inner]):
        raise SystemExit("the two sides differ: a ratio would be meaningless")


def main(rounds: int) -> None:
    """Print one line a comparison."""
    peers: dict[str, Filter] = {
        "scipy, median of probabilities": scipy_probabilities,
        "scipy, median of the mask": scipy_mask,
    }
    if cv2 is not None:
        cv2.setNumThreads(1)
        peers["OpenCV, median of the mask"] = opencv_mask
    print(f"numpy {np.__version__}, OpenCV {cv2.__version__ if cv2 else 'not installed'}, ", end="")
    print(f"one thread, {rounds} rounds ABBA")
    for content, probability in make_maps().items():
        for size in (3, 5, 7):
            for name, peer in peers.items():
                require_equal(probability, size, peer)
                result = compare(
                    f"median {size} of 256x256x22, {content}",
                    lambda probability=probability, size=size: ours(probability, size),
                    lambda probability=probability, size=size, peer=peer: peer(probability, size),
                    peer_name=name,
                    rounds=rounds,
                    repeats=1,
                )
                print(result)


if __name__ == "__main__":
    main(rounds=int(sys.argv[1]) if len(sys.argv) > 1 else 3)
