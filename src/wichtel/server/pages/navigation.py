"""What the bar at the top of every page leads to."""

from __future__ import annotations

from typing import NamedTuple


class Place(NamedTuple):
    """One of the main pages."""

    name: str
    path: str
    #: The key that, pressed after "g", goes there.
    key: str
    #: Where it stands in the menu.
    group: str = "Work"
    #: In the menu behind the others, since the bar has little room.
    aside: bool = False
    #: What everybody comes for: a button.
    button: bool = False
    #: Only for those who may do this.
    needs: str = ""


#: The main pages, in their order. Only those that there are.
PLACES = (
    Place("Launch", "/launch", "l", button=True),
    Place("Home", "/", "h"),
    Place("Experiments", "/experiments", "e"),
    Place("Models", "/models", "m"),
    Place("Analysis", "/analysis", "a"),
    Place("Studies", "/studies", "s"),
    Place("Registrations", "/registrations", "r"),
    Place("Protocols", "/protocols", "p", "Catalogue", aside=True),
    Place("Datasets", "/datasets", "d", "Catalogue", aside=True),
    Place("Intents", "/intents", "i", "Catalogue", aside=True),
    Place("Queue", "/queue", "q", "Service", aside=True),
    Place("Usage", "/usage", "u", "Service", aside=True),
    Place("Health", "/health", "y", "Service", aside=True),
    Place("Admin", "/admin", "n", "Service", aside=True, needs="manage_teams"),
)
