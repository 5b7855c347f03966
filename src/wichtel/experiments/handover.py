"""Candidates for the repositories that their models come from: a patch, or a folder that is ready for a pull request."""

from __future__ import annotations

import io
import stat
import zipfile

from wichtel.domain import IllegalTransition, ModelVersion
from wichtel.experiments.description import Proposal
from wichtel.experiments.estimates import estimates_of
from wichtel.plans import Patch, SourceTree, changes, within
from wichtel.store import Artifacts, Database, codec

AUTHOR = "Wichtel <wichtel@noreply.invalid>"
#: Ancestors that a description names.
_ANCESTORS = 20


class Handover:
    """Export of candidates.

    Args:
        db: Where experiments live.
        artifacts: Where source trees live.
    """

    def __init__(self, db: Database, artifacts: Artifacts) -> None:
        self._db = db
        self._artifacts = artifacts

    def patch(self, identity: str, prefix: str = "") -> str:
        """The change as a mail that ``git apply`` and ``git am`` take, with the verdict as its message.

        Args:
            identity: Of the experiment.
            prefix: The model's folder in the repository.

        Raises:
            NotFound: there is no such experiment.
            IllegalTransition: it has no candidate, or one whose source is the target's.
            InvalidInput: the prefix leads out of the repository.
        """
        proposal, old, new = self._read(identity)
        return self._patch(proposal, old, new, prefix).mail

    def folder(self, identity: str, prefix: str = "") -> bytes:
        """A zip archive: ``DESCRIPTION.md``, ``candidate.patch``, ``message.txt``, ``experiment.json``, and the candidate in ``tree``.

        Raises:
            NotFound, IllegalTransition, InvalidInput: as `patch`.
        """
        proposal, old, new = self._read(identity)
        patch = self._patch(proposal, old, new, prefix)
        files = {
            "DESCRIPTION.md": proposal.markdown().encode(),
            "candidate.patch": patch.mail.encode(),
            "message.txt": patch.text.encode(),
            "experiment.json": codec.encode(proposal.experiment),
            **within("tree", within(prefix, new.files)),
        }
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            for path, content in files.items():
                # The same bytes whenever it is asked for.
                entry = zipfile.ZipInfo(path, date_time=(1980, 1, 1, 0, 0, 0))
                entry.compress_type = zipfile.ZIP_DEFLATED
                entry.external_attr = (stat.S_IFREG | 0o644) << 16
                archive.writestr(entry, content)
        return buffer.getvalue()

    def _patch(self, proposal: Proposal, old: SourceTree, new: SourceTree, prefix: str) -> Patch:
        e = proposal.experiment
        if not proposal.changes:
            raise IllegalTransition("its candidate has the source of the model: there is nothing to hand over.", where=f"experiment {e.id}")
        return Patch(
            old=within(prefix, old.files),
            new=within(prefix, new.files),
            author=AUTHOR,
            subject=proposal.subject,
            message=proposal.message,
            trailers=proposal.trailers,
            date=e.finished or e.created,
        )

    def _read(self, identity: str) -> tuple[Proposal, SourceTree, SourceTree]:
        with self._db.read() as tx:
            experiment = tx.experiments.get(identity)
            result = experiment.result
            if result is None or not result.candidate:
                hint = (
                    f"It ended as {experiment.status}." if experiment.status else f"It is {experiment.state}; wait until it has finished."
                )
                raise IllegalTransition("it has no candidate.", where=f"experiment {identity}", hint=hint)
            target, candidate = tx.versions.get(experiment.target), tx.versions.get(result.candidate)
            ancestors: list[ModelVersion] = []
            parent = target.parent
            while parent is not None and len(ancestors) < _ANCESTORS and (version := tx.versions.find(parent)) is not None:
                ancestors.append(version)
                parent = version.parent
            old, new = SourceTree.load(self._artifacts, target.tree), SourceTree.load(self._artifacts, candidate.tree)
            proposal = Proposal(
                experiment=experiment,
                result=result,
                target=target,
                candidate=candidate,
                ancestors=tuple(ancestors),
                dataset=tx.datasets.find(candidate.analysis.job.dataset),
                estimates=estimates_of(tx, [experiment])[experiment.id],
                changes=changes(old.files, new.files),
            )
        return proposal, old, new
