"""The terminators that come with Wichtel, one a file. To add one, copy `target.py`; its entry point is one of `wichtel.terminators`."""
