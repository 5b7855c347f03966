"""Searchers against one another under many seeds (`compare.py`), on functions and on tables of which everything is known."""
