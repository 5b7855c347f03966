"""Plan + dataset → metrics.

Owns: registered datasets' files, their encoding, trainers, metrics and their scoring, what is measured of a training. May import: `plans`,
`fleet`, `store`, `domain`; frameworks only in the trainers' modules, which are loaded when a plan needs them.
Start with `entries.py` (what a worker runs) and `child.py` (what runs beside the user's code). To add a trainer, copy `keras.py` and
declare it in the entry-point group ``wichtel.trainers``.
"""

from wichtel.training.datasets import ingest
from wichtel.training.fits import check_fits
from wichtel.training.metrics import METRICS, FunctionScorer, Scorer, metric_catalogue
from wichtel.training.reader import DatasetReader, Examples
from wichtel.training.trainer import Task, Trained, Trainer, default_replicates, make_trainer, trainer_names

__all__ = [
    "METRICS",
    "DatasetReader",
    "Examples",
    "FunctionScorer",
    "Scorer",
    "Task",
    "Trained",
    "Trainer",
    "check_fits",
    "default_replicates",
    "ingest",
    "make_trainer",
    "metric_catalogue",
    "trainer_names",
]
