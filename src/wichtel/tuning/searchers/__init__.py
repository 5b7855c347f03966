"""The searchers that come with Wichtel, one a file. To add one, copy `random.py` and register it as an entry point of `wichtel.searchers`.

Nothing is imported here: most need numpy, `gp` needs SciPy and `optuna` needs Optuna, and who uses none of them should not wait for it.
"""
