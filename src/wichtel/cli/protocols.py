"""`wichtel protocols`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wichtel.cli.command import Here, command, group
from wichtel.cli.output import cell

if TYPE_CHECKING:
    from wichtel.protocols import ParameterSpec

app = group("What experiments can do.")


@command(app, "list")
def list_(here: Here) -> None:
    """All protocols."""
    with here.client() as client:
        found = client.protocols.list()
    here.out.table(found, ["name", "kind", "intent", "help"], ((p.name, p.kind, p.intent, p.help) for p in found))


@command(app, "show")
def show(here: Here, name: str) -> None:
    """One protocol with its parameters; --json has their JSON Schema too."""
    with here.client() as client:
        p = client.protocols.get(name)
    parameters = "\n".join(
        f"{s.name}: {s.type}{_range(s)}{', required' if s.required else f', default {cell(s.default) or None}'}. {s.help}"
        for s in p.parameters
    )
    here.out.fields(
        p,
        [
            ("protocol", p.name),
            ("kind", p.kind),
            ("help", p.help),
            ("intent", p.intent),
            ("needs", "\n".join(p.needs)),
            ("recipes", ", ".join(p.recipes)),
            ("steps", "\n".join(f"{s.name}: {s.help}" for s in p.steps)),
            ("parameters", parameters),
        ],
    )


def _range(spec: ParameterSpec) -> str:
    if spec.choices:
        return f", one of {cell(spec.choices)}"
    parts = [f"at least {cell(spec.low)}"] if spec.low is not None else []
    parts += [f"at most {cell(spec.high)}"] if spec.high is not None else []
    return "".join(f", {part}" for part in parts)
