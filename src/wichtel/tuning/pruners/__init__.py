"""The pruners that come with Wichtel, one a file. To add one, copy `patience.py` and register it as an entry point of `wichtel.pruners`."""

from wichtel.tuning.pruners.asha import ASHA
from wichtel.tuning.pruners.extrapolation import Extrapolation
from wichtel.tuning.pruners.hyperband import Hyperband
from wichtel.tuning.pruners.median import Median
from wichtel.tuning.pruners.patience import Patience
from wichtel.tuning.pruners.percentile import Percentile
from wichtel.tuning.pruners.threshold import Threshold

__all__ = ["ASHA", "Extrapolation", "Hyperband", "Median", "Patience", "Percentile", "Threshold"]
