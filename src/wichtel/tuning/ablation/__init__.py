"""What a model owes to each of its parts: studies that leave one out (`ablate.py`), layers that can be left out, what came of it."""
