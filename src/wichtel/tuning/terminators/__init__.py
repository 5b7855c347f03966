"""The terminators that come with Wichtel, one a file. To add one, copy `target.py`; register it as an entry point of `wichtel.terminators`."""
