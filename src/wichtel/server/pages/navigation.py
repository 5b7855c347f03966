"""What the bar at the top of every page leads to."""

from __future__ import annotations

from typing import NamedTuple


class Place(NamedTuple):
    """One of the main pages."""

    name: str
    path: str
    #: The key that, pressed after "g", goes there.
    key: str
    #: In the menu behind the others, since the bar has little room.
    aside: bool = False


#: The main pages, in their order. Only those that there are.
PLACES = (
    Place("Home", "/", "h"),
    Place("Launch", "/launch", "l"),
    Place("Experiments", "/experiments", "e"),
    Place("Models", "/models", "m"),
    Place("Analysis", "/analysis", "a"),
    Place("Registrations", "/registrations", "r"),
    Place("Protocols", "/protocols", "p", aside=True),
    Place("Datasets", "/datasets", "d", aside=True),
    Place("Intents", "/intents", "i", aside=True),
    Place("Queue", "/queue", "q", aside=True),
    Place("Usage", "/usage", "u", aside=True),
    Place("Health", "/health", "y", aside=True),
    Place("Admin", "/admin", "n", aside=True),
)
