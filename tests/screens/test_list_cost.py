"""What a list costs in statements, with everything a row can show (CONV-3): the same for one row as for forty."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import sqlalchemy as sa

from inbox.models import Conversation, Draft, Tag, db, transaction
from tests.world import World

MOST = 8


@contextmanager
def statements() -> Iterator[list[str]]:
    """What is asked of the database meanwhile; where a transaction begins is no question."""
    seen: list[str] = []
    listen = lambda *a: None if a[2].startswith(("BEGIN", "SAVEPOINT")) else seen.append(a[2])  # noqa: E731
    sa.event.listen(db.engine, "before_cursor_execute", listen)
    try:
        yield seen
    finally:
        sa.event.remove(db.engine, "before_cursor_execute", listen)


def lived_in(world: World, n: int) -> None:
    """So many conversations, each with two tags, a teammate's draft, an assignee, and every other locked."""
    talks: list[Conversation] = [world.conversation(f"kingfisher {i}", sender=f"+1415555{3000 + n * 10 + i}") for i in range(n)]
    with transaction():
        tags = [Tag.named(world.harbor.id, name) or Tag(account_id=world.harbor.id, name=name, key=name.lower()).save() for name in ("Urgent", "Lab")]
        for i, talk in enumerate(talks):
            for tag in tags:
                talk.tag(tag, by=world.theo)
            talk.contact.rename(f"Person {i}", "Kay")
            talk.assignee_id = world.dana.id if i % 2 else world.maya.id
            Draft(account_id=world.harbor.id, conversation_id=talk.id, author_id=world.theo.id, kind="reply", body="Soon").save()
            if i % 2:
                talk.acquire(by=world.theo)


@pytest.fixture
def asked(client):
    """How many statements an address takes the second time, and how many rows it shows."""

    def count(address: str) -> tuple[int, int]:
        client.get(address)
        with statements() as seen:
            page = client.get(address).text
        return len(seen), page.count("conv-row")

    return count


def test_CONV_3_a_list_takes_eight_statements_with_the_page_around_it_however_much_its_rows_show(world: World, client, asked) -> None:
    """Who reads and their rights, the inboxes, the choices of the filter, the rows, what stands beside them, and the counts and views of the navigation."""
    lived_in(world, 1)
    client.sign_in(world.dana)
    front = f"/i/{world.front.public_id}/all"
    paths = (front, f"{front}?reply=1", f"{front}?read=unread&assignee={world.maya.public_id}", "/work/mine", "/work/all")
    few = {path: asked(path)[0] for path in paths}
    lived_in(world, 42)
    for path in paths:
        count, rows = asked(path)
        assert (rows >= 20 or "assignee" in path) and count <= few[path] + 1 and count <= MOST, (path, few[path], count)


def test_CONV_9_a_search_takes_few_statements_beside_the_page_around_it(world: World, client, asked) -> None:
    lived_in(world, 42)
    client.sign_in(world.dana)
    shell, _ = asked("/search")
    for path in ("/search?q=kingfisher", "/search?q=is:open"):
        (count, rows), (few, _) = asked(path), asked(path.replace("kingfisher", "kingfisher+7"))
        assert rows >= 20 and few <= count <= shell + MOST, (path, count, shell)
