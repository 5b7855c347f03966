"""Reading what users wrote: TOML or JSON files, and ``name=value`` on the command line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from wichtel.domain import InvalidInput


def read_table(path: Path) -> dict[str, Any]:
    """A TOML file, or a JSON file if its name ends so.

    Raises:
        InvalidInput: no such file, or not what its name says.
    """
    import tomllib

    try:
        text = path.read_text()
        found = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except OSError as error:
        raise InvalidInput(f"it cannot be read: {error.strerror}.", where=str(path)) from None
    except ValueError as error:
        raise InvalidInput(f"it is not {'JSON' if path.suffix == '.json' else 'TOML'}: {error}.", where=str(path)) from None
    if not isinstance(found, dict):
        raise InvalidInput("it holds no table.", where=str(path))
    return found


def assignments(given: Sequence[str], option: str) -> dict[str, Any]:
    """``["trials=20", "name=abc"]`` as a dict; a value that is JSON is read as such, any other is a string.

    Raises:
        InvalidInput: no ``=``, or a name twice.

    >>> assignments(["trials=20", "mode=fast", 'only=["a"]'], "-p")
    {'trials': 20, 'mode': 'fast', 'only': ['a']}
    """
    found: dict[str, Any] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise InvalidInput(f"{text!r} is not name=value.", where=option)
        if name in found:
            raise InvalidInput(f"{name!r} is given twice.", where=option)
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found
