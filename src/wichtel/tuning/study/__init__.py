"""A study on its way: the loop that owns its runs, the host that carries all studies of a store, and the log that both resume from.

Start with `loop.py`, then `log.py`. `active.py` is a trial with its evaluations, `record.py` those that have ended, `budget.py` what ends a
study, `outbox.py` the order in which trials become durable.
"""
