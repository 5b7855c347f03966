"""Searchers, pruners, terminators and trackers on the command line: a name, or a name with options as in a call."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wichtel.domain import Algorithm


def algorithm(text: str, option: str) -> Algorithm:
    """``"hyperband(max_budget=81)"`` as an `Algorithm`.

    Raises:
        InvalidInput: it is neither a name nor a name with options.

    >>> algorithm("hyperband(max_budget=81, eta=3)", "--searcher")
    Algorithm(name='hyperband', options={'max_budget': 81, 'eta': 3})
    """
    from wichtel.domain import Algorithm, InvalidInput

    name, parenthesis, _ = text.partition("(")
    if not parenthesis:
        return Algorithm(name=text.strip())
    try:
        # The name need not be one of Python's.
        call = ast.parse("_" + text[len(name) :].strip(), mode="eval").body
        if not isinstance(call, ast.Call) or call.args or not name.strip() or any(k.arg is None for k in call.keywords):
            raise ValueError(text)
        options = {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in call.keywords}
    except (SyntaxError, ValueError):
        hint = "Write a name, or a name with options: 'hyperband(max_budget=81, eta=3)'."
        raise InvalidInput(f"{text!r} is not understood.", where=option, hint=hint) from None
    return Algorithm(name=name.strip(), options=options)
