"""Commands: `flask --app inbox <command>`."""

from __future__ import annotations

import click
from flask import Flask


def register(app: Flask) -> None:
    @app.cli.command("demo")
    def demo() -> None:
        """Make the lived-in account: people, inboxes and real conversations, through the real front doors."""
        from inbox.demo import build

        build(click.echo)
