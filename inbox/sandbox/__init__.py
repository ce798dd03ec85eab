"""A carrier in a box: speaks Twilio's wire format and has a phone simulator, for trying and testing offline."""

from .app import create_sandbox

__all__ = ["create_sandbox"]
