"""`wichtel experiments export` and `wichtel experiments rerun`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wichtel.cli.command import Here, command


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    command(app, "export")(export)
    command(app, "rerun")(rerun)


def export(
    here: Here,
    experiment: str,
    patch: Annotated[Path | None, typer.Option(help="Write a patch that `git apply` and `git am` take; - for stdout.")] = None,
    folder: Annotated[Path | None, typer.Option(help="Write a folder for a pull request: description, patch, source tree.")] = None,
    repository: Annotated[Path | None, typer.Option(help="Make a branch with one commit in this git repository.")] = None,
    branch: Annotated[str | None, typer.Option(help="Its name; by default wichtel/ID.")] = None,
    path: Annotated[str, typer.Option("--path", help="The model's folder in the repository.")] = "",
) -> None:
    """Hand a candidate over to the repository that its model comes from, with the verdict as its description."""
    from wichtel.domain import InvalidInput

    if [patch, folder, repository].count(None) != 2:
        raise InvalidInput("to what?", hint="Say one of --patch FILE, --folder DIR, --repository PATH.")
    if branch is not None and repository is None:
        raise InvalidInput("a branch of which repository?", where="--branch", hint="Say --repository PATH.")
    with here.client() as client:
        if patch is not None:
            mail = client.experiments.patch(experiment, prefix=path)
            if str(patch) == "-":
                here.out.text(mail, experiment=experiment, patch=mail)
                return
            # As it is: its line ends are part of it.
            _write(patch, mail.encode())
            here.out.fields({"experiment": experiment, "patch": str(patch)}, [("patch", patch)])
            here.out.say(f"Apply it in the repository: git am {patch}  (or git apply {patch})")
            return
        if folder is not None:
            made = client.experiments.folder(experiment, folder, prefix=path)
            here.out.fields({"experiment": experiment, "folder": str(made)}, [("folder", made)])
            here.out.say(f"What it is: {made / 'DESCRIPTION.md'}")
            return
        assert repository is not None
        done = client.experiments.branch(experiment, repository, name=branch, path=path)
    here.out.fields(done, [("branch", done.branch), ("commit", done.commit), ("after", done.base)])
    here.out.say(f"Look at it: git -C {repository} show {done.branch}")
    here.out.say(f"Push it: {done.push}")


def rerun(
    here: Here,
    experiment: str,
    on: Annotated[str, typer.Option(help="target: the version that it started from; head: what its model is now.")] = "target",
    seed: Annotated[str, typer.Option(help="same, or fresh: would other luck have given the same verdict?")] = "same",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Show progress until it has finished.")] = False,
) -> None:
    """Run an experiment again with the same configuration."""
    from wichtel.cli.follow import exit_code
    from wichtel.cli.follow import follow as follow_
    from wichtel.cli.run import show_results
    from wichtel.domain import InvalidInput, did_you_mean

    for option, given, known in (("--on", on, ("target", "head")), ("--seed", seed, ("same", "fresh"))):
        if given not in known:
            raise InvalidInput(f"there is no {given!r}.", where=option, hint=did_you_mean(given, known))
    follow = follow or here.local
    with here.client(works=follow) as client:
        made = client.experiments.rerun(experiment, on=on, seed=seed)
        if not follow:
            here.out.fields(made, [("experiment", made.id), ("registration", made.registration), ("rerun of", made.config.rerun_of)])
            here.out.say(f"Compare them when it has finished: wichtel compare {experiment} {made.id} --reference {experiment}")
            return
        found = follow_(here, client, [made.id])
        show_results(here, found)
    raise typer.Exit(exit_code(found))


def _write(path: Path, content: bytes) -> None:
    from wichtel.domain import InvalidInput

    try:
        path.write_bytes(content)
    except OSError as error:
        raise InvalidInput(f"it cannot be written: {error.strerror}.", where=str(path)) from None
