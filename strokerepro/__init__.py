"""Five stroke-lesion-segmentation papers, reproduced literately and honestly."""

from importlib.metadata import version

__version__ = version("strokerepro")
