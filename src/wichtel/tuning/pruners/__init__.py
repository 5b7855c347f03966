"""The pruners that come with Wichtel, one a file. To add one, copy `median.py` and register it as an entry point of `wichtel.pruners`."""

from wichtel.tuning.pruners.asha import ASHA
from wichtel.tuning.pruners.median import Median

__all__ = ["ASHA", "Median"]
