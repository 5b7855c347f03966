"""Other people's tracking that a study can be mirrored to while it runs, one a file; see `port.py`. Entry points of `wichtel.trackers`."""
