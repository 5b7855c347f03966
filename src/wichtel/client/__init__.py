"""Wichtel from Python, over HTTP: the calls of the API, grouped by noun, with values of `wichtel.domain` in and out.

Owns: `Client` and what it takes to reach a service. May import: the types of `settings` and everything below, never the server.
Start with `client.py`, then `connection.py`. To add a noun, copy `models.py` and name it in `client.py`.
"""

from wichtel.client.client import Client
from wichtel.client.connection import NoService

__all__ = ["Client", "NoService"]
