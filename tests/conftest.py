"""What holds for every test: no real AWS account within reach, and in CI nothing is skipped."""

import os
from collections import Counter
from collections.abc import Generator

import pytest
from hypothesis import settings

from infra.proxies import spare_loopback

IN_CI = os.environ.get("CI") == "true"

# Set before any test module builds a client: a developer's own account must never be reached by a test.
for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_REGION"):
    os.environ.pop(name, None)
os.environ.update(
    AWS_ACCESS_KEY_ID="test",
    AWS_SECRET_ACCESS_KEY="test",
    AWS_DEFAULT_REGION="us-east-1",
    AWS_CONFIG_FILE=os.devnull,
    AWS_SHARED_CREDENTIALS_FILE=os.devnull,
    AWS_EC2_METADATA_DISABLED="true",
)
spare_loopback(os.environ)

# A shared machine is no place for deadlines; in CI the same examples run every time.
settings.register_profile("tasklane", deadline=None, derandomize=IN_CI)
settings.load_profile("tasklane")


WEIGHTS = {"long": 10, "apt": 10, "fuzz": 10, "packaging": 10, "slow": 1}
"""How much longer than others the tests with these marks take, roughly."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take long, so that those who run the others side by side do not wait for the last."""
    weights: Counter[str] = Counter()
    for item in items:
        weights[_file(item)] += max((WEIGHTS.get(mark.name, 0) for mark in item.iter_markers()), default=0)
    items.sort(key=lambda item: -weights[_file(item)])


def _file(item: pytest.Item) -> str:
    return item.nodeid.partition("::")[0]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a skip into a failure in CI: what is missing on a laptop has to be there."""
    report = yield
    if IN_CI and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"skipped in CI, where nothing may be missing: {reason}"
    return report
