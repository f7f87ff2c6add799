"""The mailbox of the embedded engine: what SES was asked to send."""

from typing import Any

import httpx


def mails_to(engine_url: str, address: str) -> list[dict[str, Any]]:
    """The mails that were sent to this address, the oldest first."""
    kept = httpx.get(f"{engine_url}/_ministack/ses/messages").json()["messages"]
    return [mail for mails in kept.values() for mail in mails if address in mail["To"]]
