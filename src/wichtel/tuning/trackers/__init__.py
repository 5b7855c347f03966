"""Other people's tracking that a study is mirrored to while it runs: `port.py` is what a tracker is, `mirror.py` feeds them.

To add one copy `tensorboard.py` and name it as an entry point of ``wichtel.trackers``, or pass an object to `tune`.
"""

from __future__ import annotations

from wichtel.tuning.trackers.mirror import Trackers
from wichtel.tuning.trackers.port import Tracker

__all__ = ["Tracker", "Trackers"]
