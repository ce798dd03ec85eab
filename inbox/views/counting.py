"""What the composer shows about a text before it leaves: segments and cost, counted here first and then as somebody types (composer.js)."""

from __future__ import annotations

from dataclasses import dataclass

from inbox import phone
from inbox.channels.base import Channel
from inbox.models.conversation.replying import clean_body
from inbox.models.money import dollars
from inbox.plain import cheaper


@dataclass(frozen=True)
class Meter:
    """How a writer's texts to one recipient are counted. Prices are micros: of a segment, of a text with files, and of each further segment of that."""

    ending: str
    plain: bool
    segment: int
    files: int
    more: int

    def count(self, body: str) -> phone.Segments:
        """The segments of the text as it would leave."""
        text = clean_body(body)
        text = f"{text}{self.ending}" if text else text
        return phone.segments(cheaper(text) if self.plain else text)

    def cost(self, body: str, files: int = 0) -> str:
        """What it would cost, like $0.0166; empty where texts cost nothing."""
        count = self.count(body).segments
        return dollars(self.files + self.more * (count - 1) if files else self.segment * count) if self.segment else ""


def meter(adapter: Channel, address: str, *, ending: str, plain: bool) -> Meter:
    """The meter for texts through `adapter` to an E.164 number."""
    if not adapter.caps.charged:
        return Meter(ending, plain, 0, 0, 0)
    one, two = (adapter.price(address, segments, 1) for segments in (1, 2))
    return Meter(ending, plain, adapter.price(address, 1, 0), one, two - one)
