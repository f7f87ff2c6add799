"""Payload models of task types whose payload is not what a test is about."""

from pydantic import BaseModel, ConfigDict


class Nothing(BaseModel):
    pass


class Anything(BaseModel):
    model_config = ConfigDict(extra="allow")
