from __future__ import annotations

from datetime import UTC, datetime

import pytest

from wichtel.domain import Order, PlanError
from wichtel.plans.job import parse_job

GOOD = """
priority = 3
[dataset]
name = "flights"
label = "late"
[windows]
train = [2013-01-01, 2013-10-01T00:00:00+02:00]
evaluation = ["2013-10-01", 2013-11-01T00:00:00]
[training]
order = "shuffled"
batch_size = 512
sample = 0.5
[resources]
cpus = 2
memory = "1.5 GiB"
[limits]
load_seconds = 30
"""


def test_everything_is_read():
    job = parse_job(GOOD.encode())
    assert job.dataset == "flights"
    assert job.train.end == datetime(2013, 9, 30, 22, tzinfo=UTC)
    assert job.evaluation.start == datetime(2013, 10, 1, tzinfo=UTC)
    assert job.evaluation.end == datetime(2013, 11, 1, tzinfo=UTC)
    assert (job.order, job.batch_size, job.passes, job.sample, job.priority) == (Order.SHUFFLED, 512, 1, 0.5, 3)
    assert (job.resources.cpus, job.resources.memory_bytes) == (2.0, 3 * 2**29)
    assert job.load_seconds == 30.0


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("batch_size", "batchsize", r"job.toml: \[training\]: there is no key 'batchsize'\. Did you mean 'batch_size'"),
        ("[limits]", "[limit]", "there is no section or key 'limit'. Did you mean 'limits'"),
        ('label = "late"', "", r"job.toml: \[dataset\]: label is missing\. Add for instance: label"),
        ("512", '"512"', "job.toml: training.batch_size: '512' is not a whole number"),
        ("512", "0", "batch_size and passes are at least 1"),
        ('"shuffled"', '"shufled"', "job.toml: training.order: 'shufled' is not an order. Did you mean 'shuffled'"),
        ('"2013-10-01", 2013-11-01T00:00:00', "2013-10-01, 2013-10-01", "job.toml: windows.evaluation: .* is empty"),
        ('"2013-10-01", 2013-11-01T00:00:00', "2013-11-01, 2013-10-01", "before it starts"),
        ('"2013-10-01", 2013-11-01T00:00:00', "2013-09-01, 2013-12-01", "starts before the train window ends"),
        ('"2013-10-01"', '"soon"', "'soon' is not a time"),
        ('"1.5 GiB"', '"1.5 GB of it"', "not an amount of memory"),
        ("[dataset]", "[dataset", "job.toml: this is not TOML: .*line 3"),
        ("priority = 3", "training = 3", r"\[training\] is a section|not TOML"),
        ("cpus = 2", "cpus = true", "job.toml: resources.cpus: True is not a number"),
    ],
)
def test_errors_name_file_and_key(old, new, message):
    assert old in GOOD
    with pytest.raises(PlanError, match=message):
        parse_job(GOOD.replace(old, new).encode())
