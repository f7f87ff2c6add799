"""The dashboard's files over HTTP. What the page does with them: tests/dashboard."""

import re
from pathlib import Path
from urllib.parse import urljoin

import httpx
import pytest

from api.dashboard import pages
from tests.unit.api.conftest import Installation, the_problem

TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


def parts_of(page: str) -> list[str]:
    """The addresses that the page loads, relative to its own."""
    return re.findall(r'<(?:link|script)[^>]+(?:href|src)="([^"]+)"', page)


def assert_safe(response: httpx.Response) -> None:
    headers = response.headers
    policy = dict(one.split(" ", 1) for one in headers["content-security-policy"].split("; "))
    assert policy.pop("default-src") == policy.pop("frame-ancestors") == "'none'"
    assert policy.pop("base-uri") == policy.pop("form-action") == "'none'"
    assert {policy.pop(f"{kind}-src") for kind in ("script", "style", "img", "connect")} == {"'self'"}
    assert policy == {"require-trusted-types-for": "'script'", "trusted-types": "'none'"}
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-opener-policy"] == headers["cross-origin-resource-policy"] == "same-origin"


def test_the_page_is_html_that_is_asked_for_anew(api: Installation) -> None:
    response = api.client.get("/dashboard")

    assert response.status_code == 200
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.headers["cache-control"] == "no-cache"
    assert_safe(response)
    again = api.client.get("/dashboard", headers={"if-none-match": response.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert_safe(again)


def test_every_part_of_the_page_is_there_and_kept_for_good(api: Installation) -> None:
    parts = parts_of(api.client.get("/dashboard").text)

    assert {Path(part).suffix for part in parts} == set(TYPES)
    for part in parts:
        response = api.client.get(urljoin("/dashboard", part))
        assert response.status_code == 200, part
        assert response.headers["content-type"] == TYPES[Path(part).suffix]
        assert response.headers["cache-control"] == "max-age=31536000, immutable"
        assert_safe(response)
        again = api.client.get(urljoin("/dashboard", part), headers={"if-none-match": response.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")


def test_the_page_names_every_file_so_that_the_browser_gets_them_at_once(api: Installation) -> None:
    named = [Path(part).name for part in parts_of(api.client.get("/dashboard").text)]

    assert sorted(named) == sorted(path.name for path in pages.STATIC.iterdir() if path.name != pages.PAGE)


def test_nothing_in_the_files_is_script_in_the_page_or_markup_from_text(api: Installation) -> None:
    for path in pages.STATIC.iterdir():
        text = path.read_text()
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|DOMParser", text), path
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text), path
        assert not re.search(r"<script(?![^>]* src=)|\son\w+=|\sstyle=", text), path


def test_no_address_is_kept_under_a_name_that_its_content_does_not_have(api: Installation) -> None:
    part = next(part for part in parts_of(api.client.get("/dashboard").text) if part.endswith("main.js"))
    _, version, name = part.split("/")

    the_problem(api.client.get(f"/dashboard/{'0' * len(version)}/{name}"), 404, "not-found")


@pytest.mark.parametrize(
    "path",
    ["nothing.js", "VERSION/nothing.js", "VERSION/index.html", "VERSION/../pages.py", "VERSION/%2e%2e%2fpages.py"],
)
def test_what_is_not_there_is_a_problem(api: Installation, path: str) -> None:
    version = parts_of(api.client.get("/dashboard").text)[0].split("/")[1]

    the_problem(api.client.get(f"/dashboard/{path.replace('VERSION', version)}"), 404, "not-found")


def test_a_slash_too_many_leads_to_the_page_whatever_path_it_lies_under(api: Installation) -> None:
    response = api.client.get("/dashboard/")

    assert response.status_code == 308
    assert urljoin("https://example.com/prod/dashboard/", response.headers["location"]) == (
        "https://example.com/prod/dashboard"
    )


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_the_page_is_only_read(api: Installation, method: str) -> None:
    response = api.client.request(method, "/dashboard")

    the_problem(response, 405, "method-not-allowed")
    assert response.headers["allow"] == "GET, HEAD"


def test_head_tells_what_get_would(api: Installation) -> None:
    head, get = api.client.request("HEAD", "/dashboard"), api.client.get("/dashboard")

    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == get.headers["content-length"]


def test_the_openapi_document_is_about_the_api_alone(api: Installation) -> None:
    assert not any("dashboard" in path for path in api.client.get("/openapi.json").json()["paths"])


def test_the_files_are_read_with_the_first_request_and_then_no_more(
    api: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages._files.cache_clear()
    before = api.client.get("/dashboard").content

    monkeypatch.setattr(pages, "STATIC", Path("nowhere"))

    assert api.client.get("/dashboard").content == before


def test_the_version_is_another_one_if_any_file_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in pages.STATIC.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    monkeypatch.setattr(pages, "STATIC", tmp_path)
    versions = set()
    for name in ("style.css", "index.html", "icon.svg"):
        with (tmp_path / name).open("ab") as file:
            file.write(b"\n")
        versions.add(pages._files.__wrapped__().version)

    assert len(versions) == 3
