"""``/dashboard``: the page's files, read once, and the headers that hold the page to what it is for.

The page is asked for anew each time; what it is made of lies at addresses that name its content, and is kept by
browsers: so a page costs one request, and no deployment mixes old parts with new ones.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from api.representation import entity_tags, matches

STATIC: Final = Path(__file__).with_name("static")
PAGE: Final = "index.html"
VERSION: Final = b"{version}"
"""Stands in the page for the name of its content, which its parts' addresses have."""
TYPES: Final[Mapping[str, str]] = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
RULES: Final = (
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",  # no string becomes markup or code,
    "trusted-types 'none'",  # not even by a policy of the page's own
)
"""What the page may do: load its own files, and speak to its own API (https://www.w3.org/TR/CSP3/)."""
HEADERS: Final[Mapping[str, str]] = {
    "content-security-policy": "; ".join(RULES),
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
ASK_AGAIN: Final = "no-cache"
FOR_GOOD: Final = "max-age=31536000, immutable"

router = APIRouter(prefix="/dashboard", include_in_schema=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class File:
    """A file as it is sent."""

    content: bytes
    media_type: str
    etag: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Files:
    """The page, and its parts by name; ``version`` is another one if and only if the content is."""

    version: str
    page: File
    parts: Mapping[str, File]


@router.get("")
async def page(request: Request) -> Response:
    """The dashboard."""
    return _answer(request, _files().page, ASK_AGAIN)


@router.get("/")
async def elsewhere() -> Response:
    """The page's relative addresses hold without the slash; so does this one, whatever path comes before it."""
    return Response(status_code=308, headers={**HEADERS, "location": "../dashboard"})


@router.get("/{version}/{name}")
async def part(request: Request, version: str, name: str) -> Response:
    """One of the files that the page is made of."""
    files = _files()
    if version != files.version or name not in files.parts:
        raise HTTPException(404)
    return _answer(request, files.parts[name], FOR_GOOD)


def _answer(request: Request, file: File, cache_control: str) -> Response:
    headers = {**HEADERS, "cache-control": cache_control, "etag": file.etag}
    if matches(entity_tags(request.headers.get("if-none-match", "")), file.etag):
        return Response(status_code=304, headers=headers)
    return Response(file.content, headers={**headers, "content-type": file.media_type})


@cache
def _files() -> Files:
    """All files, with the first request: neither the start of a Lambda nor any later request waits for them."""
    contents = {path.name: path.read_bytes() for path in sorted(STATIC.iterdir()) if path.suffix in TYPES}
    digest = hashlib.sha256()
    for name, content in contents.items():
        digest.update(b"%s %d\n" % (name.encode(), len(content)) + content)
    version = digest.hexdigest()[:16]
    whole = contents.pop(PAGE).replace(VERSION, version.encode())
    return Files(
        version=version,
        page=_file(PAGE, whole),
        parts={name: _file(name, content) for name, content in contents.items()},
    )


def _file(name: str, content: bytes) -> File:
    etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    return File(content=content, media_type=TYPES[Path(name).suffix], etag=etag)
