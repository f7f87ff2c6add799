"""What the tests of the registry share: a handler and its models."""

from datetime import datetime

from pydantic import BaseModel, Field


class Order(BaseModel):
    number: int = Field(gt=0)
    lines: list[str] = []


class Receipt(BaseModel):
    paid: bool
    at: datetime


def pay(payload: Order) -> Receipt:
    """Take the money.

    At once.
    """
    raise NotImplementedError
