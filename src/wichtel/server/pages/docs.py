"""The API's documentation, from files that the package brings along."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from starlette.responses import HTMLResponse, Response

if TYPE_CHECKING:
    from fastapi import FastAPI

_DOCS = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Wichtel: the API</title>
<link rel="stylesheet" href="/static/swagger-ui/swagger-ui.css">
<link rel="icon" href="/static/swagger-ui/favicon-32x32.png">
</head>
<body>
<div id="swagger-ui"></div>
<noscript>This page needs JavaScript; <a href="/v1/openapi.json">the OpenAPI document</a> does not.</noscript>
<script src="/static/swagger-ui/swagger-ui-bundle.js"></script>
<script src="/static/docs.js"></script>
</body>
</html>
"""

_MISSING = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Wichtel: the API</title></head>
<body>
<h1>The files of this page are missing</h1>
<p>They come from npm when Wichtel is built: run <code>make assets</code> in the source folder, or install the wheel.
<a href="/v1/openapi.json">The OpenAPI document</a> is there all the same.</p>
</body>
</html>
"""

_HEADERS = {
    # The style of Swagger UI is partly inline; its icons are data addresses.
    "Content-Security-Policy": "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
}


def install(api: FastAPI, static: Path) -> None:
    """Add ``/docs``.

    Args:
        api: Where to.
        static: The folder of the files.
    """

    def docs() -> Response:
        there = (static / "swagger-ui" / "swagger-ui-bundle.js").is_file()
        return HTMLResponse(_DOCS if there else _MISSING, 200 if there else 503, _HEADERS)

    api.add_api_route("/docs", docs, include_in_schema=False)
