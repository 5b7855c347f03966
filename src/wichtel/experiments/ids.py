"""Identifiers of things that users make."""

from __future__ import annotations

import hashlib
import secrets

_ALPHABET = "23456789abcdefghjkmnpqrstvwxyz"  # no two that look alike


def new_id(prefix: str) -> str:
    """A random identifier, such as ``e-7k3m9q2xwp``; 49 bits."""
    return f"{prefix}-" + "".join(secrets.choice(_ALPHABET) for _ in range(10))


def id_of(prefix: str, *parts: str) -> str:
    """The identifier that the same `parts` always give."""
    number = int.from_bytes(hashlib.sha256("\0".join(parts).encode()).digest()[:8], "big")
    letters = []
    for _ in range(10):
        number, letter = divmod(number, len(_ALPHABET))
        letters.append(_ALPHABET[letter])
    return f"{prefix}-" + "".join(letters)
