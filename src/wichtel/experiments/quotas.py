"""Shares of teams and limits of users and protocols, as admins set them. What waits is looked at again in the same moment."""

from __future__ import annotations

import builtins
from dataclasses import replace

from wichtel.domain import ALL, Limit, LimitKind, NotFound, Pause, QuotaGroup, check_name, did_you_mean
from wichtel.experiments.principal import Principal
from wichtel.store import Database, Transaction, codec


class Quotas:
    """Quota groups and limits.

    Args:
        db: Where they live.
        default_share: Most experiments IN_PROGRESS of a group that nobody set a share for.
    """

    def __init__(self, db: Database, *, default_share: int) -> None:
        self._db = db
        self._default_share = default_share

    # Groups

    def put(self, group: QuotaGroup, principal: Principal) -> QuotaGroup:
        """Set a team's share. Whether it is paused stays as it is.

        Raises:
            InvalidInput: a name that is none.
        """
        principal.permit("put_quota_group")
        check_name(group.name, what="quota group")
        with self._db.transaction() as tx:
            tx.quota_groups.put(group)
            self._changed(tx, principal, "put_quota_group", group.name, codec.to_plain(replace(group, paused=None)), team=group.name)
            return tx.quota_groups.get(group.name)

    def list(self) -> builtins.list[QuotaGroup]:
        """All groups whose share was set."""
        with self._db.read() as tx:
            return tx.quota_groups.list()

    def get(self, name: str) -> QuotaGroup:
        """What was set for a group.

        Raises:
            NotFound: nothing was.
        """
        found = {group.name: group for group in self.list()}
        if name not in found:
            raise NotFound(f"no share was set for {name!r}.", hint=did_you_mean(name, found))
        return found[name]

    def delete(self, name: str, principal: Principal) -> None:
        """Forget what was set for a group: it has the default share then, and is not paused.

        Raises:
            NotFound: nothing was set for it.
        """
        principal.permit("put_quota_group")
        with self._db.transaction() as tx:
            if not tx.quota_groups.delete(name):
                raise NotFound(f"no share was set for {name!r}.", hint=did_you_mean(name, [g.name for g in tx.quota_groups.list()]))
            self._changed(tx, principal, "delete_quota_group", name, {}, team=name)

    def pause(self, name: str, reason: str, principal: Principal) -> QuotaGroup:
        """Have nothing of the group start from now on; what was started goes on.

        Raises:
            InvalidInput: a name that is none.
        """
        principal.permit("put_quota_group")
        check_name(name, what="quota group")
        with self._db.transaction() as tx:
            pause = Pause(by=principal.name, reason=reason, since=tx.now)
            tx.quota_groups.pause(name, pause, default_share=self._default_share)
            tx.audit.add(principal.name, "pause_quota_group", name, {"reason": reason}, team=name)
            tx.events.add("quota_group.paused", f"quota_group/{name}", {"by": principal.name, "reason": reason})
            return tx.quota_groups.get(name)

    def resume(self, name: str, principal: Principal) -> QuotaGroup:
        """Let the group start again; one that is not paused stays as it is.

        Raises:
            NotFound: nothing was set for it.
        """
        principal.permit("put_quota_group")
        with self._db.transaction() as tx:
            group = tx.quota_groups.find(name)
            if group is None:
                raise NotFound(f"{name!r} is not paused.", hint=did_you_mean(name, [g.name for g in tx.quota_groups.list()]))
            if group.paused is not None:
                tx.quota_groups.pause(name, None, default_share=self._default_share)
                tx.events.add("quota_group.resumed", f"quota_group/{name}", {"by": principal.name})
                self._changed(tx, principal, "resume_quota_group", name, {}, team=name)
            return replace(group, paused=None)

    # Limits

    def put_limit(self, limit: Limit, principal: Principal) -> Limit:
        """Set a limit, in the place of an earlier one of the same group, kind and name."""
        principal.permit("put_quota_group")
        with self._db.transaction() as tx:
            tx.limits.put(limit)
            self._changed(tx, principal, "put_limit", f"{limit.kind}/{limit.name}", codec.to_plain(limit), team=limit.quota_group)
        return limit

    def limits(self) -> builtins.list[Limit]:
        """All limits."""
        with self._db.read() as tx:
            return tx.limits.list()

    def delete_limit(self, quota_group: str, kind: LimitKind, name: str, principal: Principal) -> None:
        """Lift a limit.

        Raises:
            NotFound: there is none.
        """
        principal.permit("put_quota_group")
        with self._db.transaction() as tx:
            if not tx.limits.delete(quota_group, kind, name):
                where = "all groups" if quota_group == "*" else f"group {quota_group!r}"
                names = [limit.name for limit in tx.limits.list() if limit.kind is kind]
                raise NotFound(f"there is no limit of {kind} {name!r} in {where}.", hint=did_you_mean(name, names))
            self._changed(tx, principal, "delete_limit", f"{kind}/{name}", {"quota_group": quota_group}, team=quota_group)

    def _changed(self, tx: Transaction, principal: Principal, action: str, subject: str, detail: dict[str, object], *, team: str) -> None:
        tx.audit.add(principal.name, action, subject, detail, team=None if team == ALL else team)
        tx.events.add("quota_group.changed", f"quota_group/{subject}", {"action": action})
