"""How `make docs` makes pages of the documentation."""

project = "Wichtel"
copyright = "the authors of Wichtel"  # noqa: A001 Sphinx's name
extensions = ["myst_parser"]
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = "Wichtel"
nitpicky = True
