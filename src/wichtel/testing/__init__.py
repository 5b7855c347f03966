"""Suites that every implementation of a port must pass, for ours and for yours.

Owns: one module per port, and functions for runs of every habit. May import: everything; nothing imports it but tests.
Start with `searchers.py`. To face an implementation of your own, copy the test that a module's docstring names; to add a suite, copy
`pruners.py`.
"""

__all__: list[str] = []
