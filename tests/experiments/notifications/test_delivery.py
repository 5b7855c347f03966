"""From the end of an experiment to those who are told, on both databases, with real receivers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from wichtel.domain import (
    Channel,
    Experiment,
    ExperimentConfig,
    ExperimentStatus,
    Intent,
    InvalidInput,
    Model,
    NotFound,
    NotificationState,
    NotPermitted,
    OwnerKind,
    Registration,
    SubjectKind,
)
from wichtel.domain.intent import BUILT_IN_INTENTS
from wichtel.experiments import Jobs, PeriodicJob, Principal, Role
from wichtel.experiments.notifications import Channels, Deliverer, NotAccepted, OutcomeUnknown
from wichtel.experiments.notifications import deliverer as deliverer_module
from wichtel.experiments.notifications.email import Email, MailServer
from wichtel.experiments.notifications.http import Poster
from wichtel.experiments.notifications.webhook import Webhook
from wichtel.store import Database, JobStatus

INTENT: Intent = next(iter(BUILT_IN_INTENTS.values())) if isinstance(BUILT_IN_INTENTS, dict) else BUILT_IN_INTENTS[0]
SENT, WAITING, UNKNOWN = NotificationState.SENT, NotificationState.WAITING, NotificationState.UNKNOWN


class Memory:
    """A notifier that keeps what it is told; or raises."""

    kind = "memory"
    digests = False
    signs = False

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.error: Exception | None = None

    def check(self, address: str) -> str:
        return address

    def show(self, address: str) -> str:
        return address

    def send(self, message: Any, address: str, secret: str) -> None:
        time.sleep(0.01)
        self.sent.append((address, message))
        if self.error is not None:
            raise self.error


def add_experiments(db: Database, registration: str, *names: str, owner: str = "ana", model: str = "m", group: str = "ads") -> None:
    with db.transaction() as tx:
        if tx.models.find(model) is None:
            tx.models.add(Model(name=model, owner=owner, team=group, head="v-1", created=tx.now))
        tx.registrations.add(
            Registration(id=registration, owner=owner, models=(model,), protocols=("P",), experiments=names, created=tx.now)
        )
        for name in names:
            tx.experiments.add(
                Experiment(
                    id=name,
                    registration=registration,
                    model=model,
                    target="v-1",
                    protocol="P",
                    config=ExperimentConfig(intent=INTENT),
                    owner=owner,
                    quota_group=group,
                    created=tx.now,
                )
            )


def finish(db: Database, *names: str, status: ExperimentStatus = ExperimentStatus.UNSATISFIED) -> None:
    for name in names:
        with db.transaction() as tx:
            assert tx.experiments.finish(name, status, "no gain")
            tx.outbox.add([tx.experiments.get(name)])


def add_channel(
    db: Database, identity: str, kind: str, address: str = "here", owner: str = "ana", owner_kind: OwnerKind = OwnerKind.USER, **more: Any
) -> None:
    with db.transaction() as tx:
        channel = Channel(id=identity, owner_kind=owner_kind, owner=owner, kind=kind, address=address, created=tx.now, **more)
        tx.channels.add(channel, "whsec_x")


def states(db: Database) -> Counter[NotificationState]:
    with db.read() as tx:
        return Counter(n.state for n in tx.outbox.list().items)


def make_due(db: Database) -> None:
    """As if the pauses between attempts were over."""
    with db.transaction() as tx:
        from wichtel.store.tables import notifications

        tx.connection.execute(notifications.update().values(due=tx.now - timedelta(seconds=1)))


def deliverer(db: Database, *notifiers: Any, digest_seconds: float = 3600.0) -> Deliverer:
    return Deliverer(db, {n.kind: n for n in notifiers}, digest_seconds=digest_seconds)


def test_owner_watchers_and_teams_are_told_once_each(database: Database) -> None:
    memory = Memory()
    for identity, owner, kind in (("c-ana", "ana", "user"), ("c-bob", "bob", "user"), ("c-eve", "eve", "user"), ("c-ads", "ads", "team")):
        add_channel(database, identity, "memory", identity, owner, OwnerKind(kind))
    add_channel(database, "c-good", "memory", "c-good", "ana", events=(ExperimentStatus.SATISFIED,))
    # A team of that name is not the principal of that name.
    add_channel(database, "c-fake", "memory", "c-fake", "ana", OwnerKind.TEAM)
    add_experiments(database, "r-1", "e-1", "e-2")
    with database.transaction() as tx:
        tx.watchers.add(SubjectKind.MODEL, "m", "bob")
        tx.watchers.add(SubjectKind.REGISTRATION, "r-1", "bob")
        tx.watchers.add(SubjectKind.EXPERIMENT, "e-2", "eve")
    finish(database, "e-1", "e-2")
    assert deliverer(database, memory).run() == {"sent": 7}
    told = sorted((address, m.items[0].experiment) for address, m in memory.sent)
    assert told == [
        ("c-ads", "e-1"),
        ("c-ads", "e-2"),
        ("c-ana", "e-1"),
        ("c-ana", "e-2"),
        ("c-bob", "e-1"),
        ("c-bob", "e-2"),
        ("c-eve", "e-2"),
    ]
    assert deliverer(database, memory).run() == {}
    assert states(database) == {SENT: 7}


def test_whoever_is_disabled_is_told_nothing(database: Database) -> None:
    add_channel(database, "c-ana", "memory", "c-ana", "ana")
    add_channel(database, "c-ads", "memory", "c-ads", "ads", OwnerKind.TEAM)
    add_experiments(database, "r-1", "e-1", "e-2")
    with database.transaction() as tx:
        tx.principals.add("ana", team="ads", role="editor")
    finish(database, "e-1")
    with database.transaction() as tx:
        tx.principals.change("ana", disabled=tx.now)
    finish(database, "e-2")
    memory = Memory()
    deliverer(database, memory).run()
    assert sorted((address, m.items[0].experiment) for address, m in memory.sent) == [("c-ads", "e-1"), ("c-ads", "e-2"), ("c-ana", "e-1")]


def test_nothing_is_told_of_what_was_rolled_back(database: Database) -> None:
    add_channel(database, "c", "memory")
    add_experiments(database, "r-1", "e-1")

    def cut_short() -> None:
        with database.transaction() as tx:
            tx.experiments.finish("e-1", ExperimentStatus.CANCELED, "")
            tx.outbox.add([tx.experiments.get("e-1")])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        cut_short()
    assert states(database) == {}


def test_a_mail_tells_of_a_registration_when_all_of_it_has_finished(database: Database, mail: Any) -> None:
    add_channel(database, "c", "email", "ana@example.org")
    add_experiments(database, "r-1", *(f"e-{n}" for n in range(5)), model="flights/<b>late</b>")
    post = deliverer(database, Email(MailServer(url=mail.url, sender="w@example.org"), "https://w.example.org"))
    finish(database, "e-0", "e-1", "e-2", "e-3")
    assert post.run() == {}
    finish(database, "e-4")
    assert post.run() == {"sent": 5}
    [sent] = mail.mails
    assert sent["Subject"] == "Wichtel: 5 experiments of r-1: 5 UNSATISFIED"
    assert "<b>" not in sent.get_body(("html",)).get_content()
    assert post.run() == {}


def test_a_mail_tells_what_there_is_when_a_registration_takes_long(database: Database, mail: Any) -> None:
    add_channel(database, "c", "email", "ana@example.org")
    add_experiments(database, "r-1", "e-0", "e-1", "e-2")
    post = deliverer(database, Email(MailServer(url=mail.url, sender="w@example.org"), "https://w"), digest_seconds=0.5)
    finish(database, "e-0", "e-1")
    time.sleep(0.6)
    assert post.run() == {"sent": 2}
    assert "the others go on" in mail.taken()[0]
    finish(database, "e-2")
    assert post.run() == {"sent": 1}
    assert len(mail.mails) == 2


def test_what_was_refused_is_tried_again_under_the_same_id_and_taken_once(database: Database, http: Any) -> None:
    add_channel(database, "c", "webhook", http.address)
    add_experiments(database, "r-1", "e-1")
    finish(database, "e-1")
    post = deliverer(database, Webhook(Poster(private_addresses=True), "https://w"))
    http.behave("refuse")
    assert post.run() == {"waiting": 1}
    assert post.run() == {}, "not at once"
    with database.read() as tx:
        [waiting] = tx.outbox.list().items
        assert 20 < (waiting.due - tx.now).total_seconds() <= 30
    assert "503" in waiting.error
    make_due(database)
    assert post.run() == {"waiting": 1}
    with database.read() as tx:
        [waiting] = tx.outbox.list().items
        assert 50 < (waiting.due - tx.now).total_seconds() <= 60, "ever more seldom"
    make_due(database)
    http.behave("accept")
    assert post.run() == {"sent": 1}
    assert len({headers["Idempotency-Key"] for headers, _ in http.arrived}) == 1
    assert len(http.accepted) == 1


def test_what_may_have_arrived_is_not_sent_again(database: Database, http: Any) -> None:
    add_channel(database, "c", "webhook", http.address)
    add_experiments(database, "r-1", "e-1")
    finish(database, "e-1")
    post = deliverer(database, Webhook(Poster(private_addresses=True, total_seconds=2.0), "https://w"))
    http.behave("hang")
    assert post.run() == {"unknown": 1}
    http.behave("accept")
    make_due(database)
    assert post.run() == {}
    assert len(http.arrived) == 1
    assert states(database) == {UNKNOWN: 1}


@pytest.mark.parametrize(
    ("error", "state"),
    [(OutcomeUnknown("?"), "unknown"), (RuntimeError("a fault of a plug-in"), "unknown"), (NotAccepted("no"), "waiting")],
)
def test_any_other_error_of_a_notifier_leaves_it_open(error: Exception, state: str, database: Database, caplog: Any) -> None:
    memory = Memory()
    memory.error = error
    add_channel(database, "c", "memory")
    add_experiments(database, "r-1", "e-1")
    finish(database, "e-1")
    assert deliverer(database, memory).run() == {state: 1}


def test_a_receiver_that_fails_hinders_no_other_and_is_given_up_after_a_day(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    bad, good = Memory(), Memory()
    good.kind = "good"  # type: ignore[misc]
    bad.error = NotAccepted("no")
    add_channel(database, "c-bad", "memory")
    add_channel(database, "c-good", "good")
    names = [f"e-{n}" for n in range(30)]
    add_experiments(database, "r-1", *names)
    finish(database, *names)
    post = deliverer(database, bad, good)
    assert post.run() == {"sent": 30, "waiting": 1}
    assert len(bad.sent) == 1, "one attempt at a time shows whether it is back"
    monkeypatch.setattr(deliverer_module, "GIVE_UP_AFTER", timedelta(0))
    make_due(database)
    assert post.run() == {"failed": 1}


def test_of_two_deliverers_one_sends(database: Database, database_url: str) -> None:
    memory = Memory()
    add_channel(database, "c-1", "memory", "1")
    add_channel(database, "c-2", "memory", "2")
    names = [f"e-{n}" for n in range(20)]
    add_experiments(database, "r-1", *names)
    finish(database, *names)
    others = [Database.open(database_url) for _ in range(3)]
    counts: list[dict[str, Any]] = []
    threads = [threading.Thread(target=lambda db=db: counts.append(deliverer(db, memory).run())) for db in others]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for db in others:
        db.close()
    assert sum(count.get("sent", 0) for count in counts) == 40
    assert set(Counter((address, m.items[0].experiment) for address, m in memory.sent).values()) == {1}
    assert len(memory.sent) == 40


_KILLED = """
import os, signal, sys
from wichtel.store import Database
from wichtel.experiments.notifications import Deliverer
class Killed:
    kind, digests, signs = "memory", False, False
    def check(self, address): return address
    show = check
    def send(self, message, address, secret):
        os.kill(os.getpid(), signal.SIGKILL)
Deliverer(Database.open(sys.argv[1]), {"memory": Killed()}, digest_seconds=1).run()
"""


def test_a_message_whose_deliverer_was_killed_is_shown_as_unknown_and_never_repeated(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = Memory()
    add_channel(database, "c", "memory")
    add_experiments(database, "r-1", "e-1")
    finish(database, "e-1")
    killed = subprocess.run([sys.executable, "-c", _KILLED, database_url], check=False, capture_output=True, env=os.environ.copy())
    assert killed.returncode == -signal.SIGKILL
    assert states(database) == {NotificationState.SENDING: 1}
    assert deliverer(database, memory).run() == {}
    monkeypatch.setattr(deliverer_module, "CLAIM_SECONDS", -1.0)
    assert deliverer(database, memory).run() == {"unknown": 1}
    assert memory.sent == []
    with database.read() as tx:
        [n] = tx.outbox.list().items
    assert "cut short" in n.error


_STRUCK = """
from wichtel.experiments.notifications import Deliverer
class Struck:
    kind, digests, signs = "memory", False, False
    def __init__(self, file): self.file = file
    def check(self, address): return address
    show = check
    def send(self, message, address, secret):
        with open(self.file, "a") as file:
            print(message.items[0].experiment, file=file)
        strike()
def work(db, file):
    return Deliverer(db, {"memory": Struck(file)}, digest_seconds=1).run()
"""


@pytest.mark.crash
def test_what_a_holder_left_in_the_outbox_another_sends_and_nothing_is_sent_twice(
    database: Database, tmp_path: Path, taken_over: Callable[..., JobStatus]
) -> None:
    memory = Memory()
    add_channel(database, "c", "memory")
    names = [f"e-{n}" for n in range(8)]
    add_experiments(database, "r-1", *names)
    finish(database, *names)
    file = tmp_path / "sent"
    outcome = taken_over(_STRUCK, [str(file)], deliverer(database, memory).run, at=3).outcome
    told = Counter([*file.read_text().split(), *(m.items[0].experiment for _, m in memory.sent)])
    # The one that the victim had in its hands had left it, as it happens.
    assert told == dict.fromkeys(names, 1)
    assert outcome == {"sent": 5}
    assert states(database)[SENT] == 8 - states(database)[NotificationState.SENDING]
    assert states(database)[NotificationState.SENDING] <= 1


def test_a_process_that_stops_sends_what_it_has_in_its_hands_and_nothing_more(database: Database) -> None:
    stopping = threading.Event()
    memory = Memory()
    keep = memory.send

    def slow(message: Any, address: str, secret: str) -> None:
        threading.Thread(target=jobs.stop).start()
        assert stopping.wait(60)
        keep(message, address, secret)

    memory.send = slow  # type: ignore[method-assign]
    add_channel(database, "c", "memory")
    add_experiments(database, "r-1", "e-1", "e-2", "e-3")
    finish(database, "e-1", "e-2", "e-3")
    post = deliverer(database, memory)

    def cease() -> None:
        post.cease()
        stopping.set()

    jobs = Jobs(database, [PeriodicJob(name="notifications", every_seconds=3600.0, run=post.run, cease=cease)], "one", poll_seconds=0.02)
    jobs.start()
    with database.transaction() as tx:
        tx.jobs.request("notifications")
    deadline = time.monotonic() + 60
    while True:
        with database.read() as tx:
            found = tx.jobs.get("notifications")
        if found.ended:
            break
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert found.outcome == {"sent": 1}
    assert states(database) == {SENT: 1, WAITING: 2}
    assert len(memory.sent) == 1
    memory.send = keep  # type: ignore[method-assign]
    assert deliverer(database, memory).run() == {"sent": 2}


def test_one_that_was_only_slow_does_not_speak_for_what_was_given_up(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """It wakes up after its claim was given up: its message was sent once, and stays unknown."""
    add_channel(database, "c", "memory")
    add_experiments(database, "r-1", "e-1")
    finish(database, "e-1")
    memory = Memory()

    def slow(message: Any, address: str, secret: str) -> None:
        with database.transaction() as tx:
            tx.outbox.give_up_claims(tx.now + timedelta(seconds=1), "silent")
        raise NotAccepted("no")

    memory.send = slow  # type: ignore[method-assign]
    deliverer(database, memory).run()
    assert states(database) == {UNKNOWN: 1}


# The service


def principal(name: str, role: Role = Role.EDITOR, team: str = "ads") -> Principal:
    return Principal(name=name, team=team, role=role)


@pytest.fixture
def channels(database: Database, http: Any) -> Channels:
    return Channels(database, {"webhook": Webhook(Poster(private_addresses=True), "https://w"), "memory": Memory()})


def test_a_secret_is_told_once_and_an_address_without_its_path(channels: Channels, http: Any) -> None:
    made = channels.add(principal("ana", Role.VIEWER), "webhook", http.address)
    assert made.secret.startswith("whsec_")
    for shown in (made.channel, channels.get(made.channel.id, principal("ana")), *channels.list(principal("ana"))):
        assert "secret" not in json.dumps(shown.address)
        assert made.secret not in repr(shown)
    assert channels.test(made.channel.id, principal("ana")).state is SENT
    http.behave("refuse")
    assert channels.test(made.channel.id, principal("ana")).state is NotificationState.FAILED


def test_whose_channels_one_may_change(channels: Channels, database: Database) -> None:
    ana, bob, admin = principal("ana"), principal("bob", team="maps"), principal("ada", Role.ADMIN, "ops")
    mine = channels.add(ana, "memory", "x").channel
    ours = channels.add(ana, "memory", "x", team="ads").channel
    with pytest.raises(NotPermitted):
        channels.add(bob, "memory", "x", team="ads")
    with pytest.raises(NotPermitted):
        channels.add(principal("vic", Role.VIEWER), "memory", "x", team="ads")
    for channel in (mine, ours):
        with pytest.raises(NotFound):
            channels.delete(channel.id, bob)
    with pytest.raises(NotPermitted):
        channels.list(bob, everyone=True)
    assert {c.id for c in channels.list(principal("cy"))} == {ours.id}
    assert {c.id for c in channels.list(admin, everyone=True)} == {mine.id, ours.id}
    with pytest.raises(InvalidInput, match="kind of channel"):
        channels.add(ana, "pigeon", "x")
    add_experiments(database, "r-1", "e-1")
    finish(database, "e-1")
    channels.delete(ours.id, principal("cy"))
    found = channels.notifications(ana).items
    assert {n.channel: n.state for n in found} == {mine.id: WAITING, ours.id: NotificationState.DROPPED}
    assert channels.notifications(bob).items == ()
    assert len(channels.notifications(admin, everyone=True, experiment="e-1", state=WAITING).items) == 1


def test_watching(channels: Channels, database: Database) -> None:
    add_experiments(database, "r-1", "e-1", model="flights/late")
    bob = principal("bob", Role.VIEWER, "maps")
    for kind, subject in ((SubjectKind.EXPERIMENT, "e-1"), (SubjectKind.REGISTRATION, "r-1"), (SubjectKind.MODEL, "flights/late")):
        assert channels.watch(kind, subject, bob) == channels.watch(kind, subject, bob)
    with pytest.raises(NotFound):
        channels.watch(SubjectKind.MODEL, "flights/lat", bob)
    assert len(channels.watches(bob)) == 3
    channels.unwatch(SubjectKind.MODEL, "flights/late", bob)
    with pytest.raises(NotFound):
        channels.unwatch(SubjectKind.MODEL, "flights/late", bob)
    assert len(channels.watches(bob)) == 2
