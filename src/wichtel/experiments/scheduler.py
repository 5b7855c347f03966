"""Which ENQUEUED experiments start: a random quota group that is not full, then its oldest; until no group has both work and room.

No group ever exceeds its share, because the groups are locked while one is chosen; none starves, because every group with work and room is
as likely as any other, whatever the length of its queue.
"""

from __future__ import annotations

from random import Random

from wichtel.domain import Experiment
from wichtel.store import Transaction


def choose_group(waiting: list[str], in_progress: dict[str, int], shares: dict[str, int], random: Random) -> str | None:
    """A random one of the groups that wait and are not full, or None.

    Args:
        waiting: Groups with ENQUEUED experiments.
        in_progress: Group → experiments IN_PROGRESS.
        shares: Group → most experiments IN_PROGRESS.
        random: The draw's source.
    """
    free = sorted(g for g in waiting if in_progress.get(g, 0) < shares[g])
    return random.choice(free) if free else None


def assign_next(tx: Transaction, random: Random, *, default_share: int) -> Experiment | None:
    """Move one experiment from ENQUEUED to IN_PROGRESS, in `tx`; None if there is no work with room."""
    tx.quota_groups.lock_all()
    shares = {group.name: group.max_in_progress for group in tx.quota_groups.list()}
    waiting = tx.experiments.groups_waiting()
    for name in waiting:
        shares.setdefault(name, default_share)
    group = choose_group(waiting, tx.experiments.in_progress_counts(), shares, random)
    if group is None:
        return None
    oldest = tx.experiments.oldest_enqueued(group)
    return tx.experiments.start(oldest.id) if oldest is not None else None
