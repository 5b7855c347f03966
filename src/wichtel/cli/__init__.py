"""The command `wichtel`.

Owns: commands, their output, exit codes. May import: `client`, `server` and everything below; heavy rooms only inside commands, so that
`wichtel --help` answers at once. Start with `program.py`, then `command.py`. To add a noun, copy `datasets.py` and name it in `program.py`.
"""

from wichtel.cli.program import main

__all__ = ["main"]
