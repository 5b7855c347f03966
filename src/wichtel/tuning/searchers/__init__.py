"""The searchers that come with Wichtel, one a file. To add one, copy `random.py` and register it as an entry point of `wichtel.searchers`.

Nothing is imported here: `tpe` needs Optuna, `cmaes` needs numpy, and who uses neither should not wait for them.
"""
