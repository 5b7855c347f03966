"""What all commands share: the options that go with each of them, and what they say about the service to talk to."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_type_hints

import typer

from wichtel.cli.output import Output

if TYPE_CHECKING:
    from wichtel.client import Client
    from wichtel.settings import Settings

F = TypeVar("F", bound=Callable[..., Any])

JSON = typer.Option("--json", help="Data as JSON on stdout, progress on stderr.")
URL = typer.Option("--url", help="Address of the service.")
TOKEN = typer.Option("--token", help="Access token; WICHTEL_TOKEN keeps it out of the list of processes.")
LOCAL = typer.Option("--local", help="Without a service: this process does the work, on --home.")
HOME = typer.Option("--home", help="Folder of the embedded database and artifacts.")

_SHARED = {
    "json": (Annotated[bool, JSON], False),
    "url": (Annotated[str | None, URL], None),
    "token": (Annotated[str | None, TOKEN], None),
    "local": (Annotated[bool, LOCAL], False),
    "home": (Annotated[str | None, HOME], None),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Here:
    """What the shared options say."""

    json: bool = False
    url: str | None = None
    token: str | None = None
    local: bool = False
    home: str | None = None

    @property
    def out(self) -> Output:
        """Where to print."""
        return Output(json=self.json)

    def settings(self, **flags: Any) -> Settings:
        """The settings, with the shared options and `flags` on top."""
        from wichtel.settings import load_settings

        return load_settings({"home": self.home, "url": self.url, "token": self.token, **flags})

    @contextmanager
    def client(self, *, works: bool = False, analyses: bool = False) -> Iterator[Client]:
        """A client of the service, or of this process with ``--local``.

        Args:
            works: Whether experiments are to be carried out before the command ends; otherwise a local process leaves them waiting.
            analyses: Whether a worker is needed all the same.
        """
        from wichtel.cli.local import local_client, service_client

        settings = self.settings()
        with local_client(settings, works=works, analyses=analyses) if self.local else service_client(settings) as client:
            yield client


def group(text: str, **more: Any) -> typer.Typer:
    """A group of commands with `text` as its help."""
    # Without rich, help is there three times as soon.
    return typer.Typer(help=text, no_args_is_help=True, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False, **more)


def command(app: typer.Typer, name: str) -> Callable[[F], F]:
    """Add a function as command `name` of `app`; it is called with a `Here` and its own parameters, and has the shared options as well."""

    def add(function: F) -> F:
        signature = inspect.signature(function)
        hints = get_type_hints(function, include_extras=True)
        own = [p.replace(annotation=hints[p.name], kind=p.KEYWORD_ONLY) for p in list(signature.parameters.values())[1:]]
        context = inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context)
        shared = [
            inspect.Parameter(option, inspect.Parameter.KEYWORD_ONLY, annotation=kind, default=default)
            for option, (kind, default) in _SHARED.items()
        ]

        def call(context: typer.Context, **given: Any) -> Any:
            # An option may stand before the command or after it; after it, it is nearer.
            before: dict[str, Any] = context.obj or {}
            said: dict[str, Any] = {option: given.pop(option) or before.get(option, default) for option, (_, default) in _SHARED.items()}
            here = Here(**said)
            return function(here, **given)

        parameters = [context, *own, *shared]
        vars(call)["__signature__"] = signature.replace(parameters=parameters, return_annotation=None)
        call.__annotations__ = {p.name: p.annotation for p in parameters}
        call.__doc__ = function.__doc__
        app.command(name, epilog=None)(call)
        return function

    return add
