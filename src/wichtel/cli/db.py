"""`wichtel db`."""

from __future__ import annotations

from wichtel.cli.command import Here, command, group

app = group("The database that the settings name.")


@command(app, "upgrade")
def upgrade(here: Here) -> None:
    """Bring the tables up to this version of Wichtel. The embedded database does so by itself."""
    from wichtel.settings import make_home
    from wichtel.store import Database

    settings = here.settings()
    make_home(settings.home)
    db = Database.open_patiently(settings.database_url, settings.database_wait_seconds)
    try:
        db.upgrade()
    finally:
        db.close()
    here.out.fields({"upgraded": True}, [("database", "up to date")])


@command(app, "check")
def check(here: Here) -> None:
    """Whether the tables fit this version of Wichtel."""
    from wichtel.store import Database

    db = Database.open(here.settings().database_url)
    try:
        db.check()
    finally:
        db.close()
    here.out.fields({"ok": True}, [("database", "up to date")])
