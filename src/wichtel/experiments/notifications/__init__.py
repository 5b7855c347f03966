"""Telling people what became of their experiments: at most once for each event and channel, and again only when it surely was not taken.

Owns: the `Notifier` port and its implementations, the deliverer, channels and watches. May import: what `experiments` may.
Start with `port.py`, then `deliverer.py`. To add a way to tell, copy `slack.py` and name it under the entry-point group
``wichtel.notifiers``; `wichtel.testing.notifiers` has the suite that it must pass.
"""

from wichtel.experiments.notifications.channels import Channels, NewChannel, Tried
from wichtel.experiments.notifications.deliverer import Deliverer
from wichtel.experiments.notifications.email import MailServer
from wichtel.experiments.notifications.message import Item, Message
from wichtel.experiments.notifications.port import NotAccepted, Notifier, OutcomeUnknown
from wichtel.experiments.notifications.registry import NotifierSettings, notifiers

__all__ = [
    "Channels",
    "Deliverer",
    "Item",
    "MailServer",
    "Message",
    "NewChannel",
    "NotAccepted",
    "Notifier",
    "NotifierSettings",
    "OutcomeUnknown",
    "Tried",
    "notifiers",
]
