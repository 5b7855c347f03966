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
    Place("Analysis", "/analysis", "a"),
    Place("Registrations", "/registrations", "r"),
    Place("Protocols", "/protocols", "p", aside=True),
    Place("Datasets", "/datasets", "d", aside=True),
)
