"""What is told, before it is put into the words of a channel."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from wichtel.domain import Experiment, ExperimentStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One experiment that has finished. All text is somebody else's: a notifier escapes it."""

    experiment: str
    registration: str
    model: str
    protocol: str
    owner: str
    status: ExperimentStatus
    cause: str
    #: Of one that failed; else empty.
    category: str = ""
    step: str = ""
    hint: str = ""
    finished: datetime

    @classmethod
    def of(cls, experiment: Experiment) -> Item:
        """Of a finished experiment."""
        failure = experiment.failure
        assert experiment.status is not None, "it has finished"
        return cls(
            experiment=experiment.id,
            registration=experiment.registration,
            model=experiment.model,
            protocol=experiment.protocol,
            owner=experiment.owner,
            status=experiment.status,
            cause=experiment.cause,
            category=failure.category if failure is not None else "",
            step=failure.step if failure is not None else "",
            hint=failure.hint if failure is not None else "",
            finished=experiment.finished or experiment.created,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What goes to a channel at once."""

    #: The same each time that the same events are tried again; receivers know repetitions by it.
    id: str
    items: tuple[Item, ...]
    #: Whether the registration of the items goes on.
    more_to_come: bool = False
    #: Whether it only tries out a channel.
    test: bool = False

    @property
    def subject(self) -> str:
        """All of it in a line, without line breaks."""
        if self.test:
            return "Wichtel: a test"
        if len(self.items) == 1:
            item = self.items[0]
            text = f"{item.status}: {item.protocol} on {item.model}"
        else:
            counts = Counter(item.status for item in self.items)
            told = ", ".join(f"{count} {status}" for status, count in counts.most_common())
            text = f"{len(self.items)} experiments of {self.items[0].registration}: {told}"
        return "Wichtel: " + "".join(c if c.isprintable() else " " for c in text)[:200]

    @property
    def introduction(self) -> str:
        """What comes before the items."""
        if self.test:
            return "This channel works."
        if len(self.items) == 1:
            return "An experiment has finished."
        return f"{len(self.items)} experiments of registration {self.items[0].registration} have finished" + (
            "; the others go on." if self.more_to_come else "."
        )


def message_id(channel: str, events: Sequence[str]) -> str:
    """The id of the message that tells `channel` of `events`."""
    return hashlib.sha256("\0".join([channel, *sorted(events)]).encode()).hexdigest()[:32]
