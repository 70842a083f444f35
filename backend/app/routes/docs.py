"""The API explorer: Swagger UI from our own origin. Not imported in production, where there is none."""

import hashlib
from importlib import resources
from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from backend.app.web.conditional import if_none_match_matches

# Swagger UI's icons are data: images; it sets its styles by script, which needs no 'unsafe-inline'.
HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}

# Addresses are relative: they hold behind a proxy's prefix.
PAGE: Final = b"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Tasks API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="docs/swagger-ui.css">
<script defer src="docs/swagger-ui-bundle.js"></script>
<script defer src="docs/init.js"></script>
<div id="swagger-ui"></div>
</html>
"""

# A token that was pasted is forgotten with the page, and no address can name another document.
INIT: Final = b"""SwaggerUIBundle({
  dom_id: "#swagger-ui",
  url: "openapi.json",
  deepLinking: true,
  tryItOutEnabled: true,
  persistAuthorization: false,
  queryConfigEnabled: false,
});
"""


def routes() -> list[Route]:
    """The page and what it loads, each at its exact path; `main.py` lists these as public. `/` leads to the page."""
    swagger_ui = resources.files("fastapi_swagger.resources")
    return [
        Route("/", _to_the_page, include_in_schema=False),
        _route("/docs", "text/html", PAGE),
        _route("/docs/init.js", "text/javascript", INIT),
        _route("/docs/swagger-ui-bundle.js", "text/javascript", (swagger_ui / "swagger-ui-bundle.js").read_bytes()),
        _route("/docs/swagger-ui.css", "text/css", (swagger_ui / "swagger-ui.css").read_bytes()),
    ]


async def _to_the_page(_: Request) -> Response:
    # A relative reference (RFC 9110, section 10.2.2): it holds behind a proxy's prefix.
    return RedirectResponse("docs", headers={"Cache-Control": "no-cache"})


def _route(path: str, media_type: str, content: bytes) -> Route:
    tag = f'"{hashlib.sha256(content).hexdigest()}"'
    headers = {**HEADERS, "ETag": tag}

    async def serve(request: Request) -> Response:
        if if_none_match_matches(request.headers.get("If-None-Match"), tag):
            return Response(status_code=304, headers=headers)
        return Response(content, media_type=media_type, headers=headers)

    return Route(path, serve, include_in_schema=False)
