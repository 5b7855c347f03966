"""Changes of ``job.toml``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from wichtel.domain import Analysis, InvalidInput
from wichtel.plans import SourceTree
from wichtel.plans.job import JOB, parse_job
from wichtel.recipes.port import Edit, edited


class JobEdit:
    """Set keys of the job, such as ``{"training.sample": 0.5}``; comments and layout stay.

    The parameters are the changes; they win over `changes`.

    Args:
        changes: Key of ``job.toml`` with its section → value.
    """

    name: ClassVar[str] = "job_edit"
    #: Options and parameters of the example in the catalogue.
    example: ClassVar[tuple[Mapping[str, Any], Mapping[str, Any]]] = ({}, {"training.sample": 0.5})

    def __init__(self, changes: Mapping[str, Any] | None = None) -> None:
        self.changes = dict(changes or {})

    def apply(self, tree: SourceTree, analysis: Analysis, parameters: Mapping[str, Any]) -> Edit:
        """Edit a plan.

        Raises:
            InvalidInput: no changes, an unknown key, or a value that the job cannot take.
        """
        import tomlkit

        changes = {**self.changes, **parameters}
        if not changes:
            raise InvalidInput("there are no changes.", where=self.name, hint='Give for instance {"training.sample": 0.5}.')
        content = tree.files[JOB]
        parse_job(content)
        document: Any = tomlkit.parse(content.decode())
        for key, value in changes.items():
            section, _, name = key.rpartition(".")
            table = document
            if section:
                table = document.setdefault(section, tomlkit.table())
            # Equal values stay as they are written (1_000, 1.0).
            if name not in table or table[name] != value or isinstance(table[name], bool) != isinstance(value, bool):
                try:
                    table[name] = value
                except ValueError as error:
                    raise InvalidInput(f"{value!r} cannot be written as TOML.", where=f"{JOB}: {key}") from error
        changed = tomlkit.dumps(document).encode()
        parse_job(changed)
        return edited(tree, {JOB: changed}, "change " + ", ".join(f"{key} to {value!r}" for key, value in changes.items()))
