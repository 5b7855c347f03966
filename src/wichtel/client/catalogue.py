"""What models and registrations refer to by name: datasets, intents, protocols."""

from __future__ import annotations

import builtins
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from wichtel.client.connection import Connection
from wichtel.domain import AppliedIntent, Dataset, Intent
from wichtel.store import codec

if TYPE_CHECKING:
    from wichtel.protocols import ProtocolInfo


class Datasets:
    """The registered datasets."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, name: str, files: Sequence[str | Path], time_column: str) -> Dataset:
        """Register Parquet or CSV files, which the *service* reads; it keeps the examples in time order.

        Args:
            name: Such as ``flights``.
            files: Paths, taken from the current folder; the service must be able to read them.
            time_column: The column with each example's time.

        Raises:
            AlreadyExists: the name is taken.
            InvalidInput: a file, the time column or a value is not right.
        """
        places = [str(Path(f).expanduser().absolute()) for f in files]
        body = {"name": name, "files": places, "time_column": time_column}
        return codec.read(self._connection.call("POST", "/v1/datasets", body=body).content, Dataset)

    def get(self, name: str) -> Dataset:
        """One dataset.

        Raises:
            NotFound: there is none.
        """
        return self._connection.get(Dataset, f"/v1/datasets/{quote(name)}")

    def list(self) -> builtins.list[Dataset]:
        """All of them, by name."""
        return self._connection.pages(Dataset, "/v1/datasets", None)


class Intents:
    """The intents, built in and kept."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def put(self, intent: Intent) -> Intent:
        """Keep an intent, in the place of one with its name and pattern of models."""
        return codec.read(self._connection.call("PUT", "/v1/intents", body=intent).content, Intent)

    def list(self) -> builtins.list[Intent]:
        """All of them."""
        return self._connection.all(Intent, "/v1/intents")

    def applied(self, model: str) -> builtins.list[AppliedIntent]:
        """Of each name the one that applies to `model`, and why this one."""
        return self._connection.all(AppliedIntent, "/v1/intents", model=model)

    def get(self, name: str, model: str) -> Intent:
        """The one called `name` that applies to `model`.

        Raises:
            NotFound: there is none.
        """
        return self._connection.get(Intent, f"/v1/intents/{quote(name, safe='')}", model=model)

    def delete(self, name: str, *, models: str = "*") -> None:
        """Forget the intent with that name and pattern of models.

        Raises:
            NotFound: there is none.
        """
        self._connection.call("DELETE", f"/v1/intents/{quote(name, safe='')}", query={"models": models})


class Protocols:
    """What experiments can do."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def list(self) -> builtins.list[ProtocolInfo]:
        """All of them, with their parameters."""
        from wichtel.protocols import ProtocolInfo

        return self._connection.all(ProtocolInfo, "/v1/protocols")

    def get(self, name: str) -> ProtocolInfo:
        """One protocol.

        Raises:
            NotFound: there is none.
        """
        from wichtel.protocols import ProtocolInfo

        return self._connection.get(ProtocolInfo, f"/v1/protocols/{quote(name)}")
