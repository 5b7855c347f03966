from __future__ import annotations

from hypothesis import settings

# Other tests run beside these: how long an example takes says nothing.
settings.register_profile("wichtel", deadline=None, print_blob=True)
settings.load_profile("wichtel")
