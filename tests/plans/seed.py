"""A lived-in database of 100,000 conversations: one row of each kind is written through the models, the database makes all others like it."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

from inbox import clock
from inbox.models import (
    Attachment,
    Attempt,
    Call,
    Consent,
    Contact,
    Conversation,
    Dispatch,
    Draft,
    Event,
    Following,
    LedgerEntry,
    Lock,
    LoginSession,
    Mention,
    Message,
    Notice,
    Notification,
    ReceiptRow,
    SavedView,
    ScheduledMessage,
    SearchMark,
    SendAttempt,
    Tag,
    Tagging,
    TrayItem,
    WebhookEvent,
    db,
    transaction,
)
from inbox.models.base import Model
from inbox.models.conversation.reading import LastRead
from inbox.models.search import engine
from tests.world import World

SIZE = int(os.environ.get("PLANS_SIZE", "100000"))  # conversations; fewer only to try something out
EVERY = 40  # seconds between the newest texts of two conversations
FIRST = 1000  # ids of made rows begin after this
OPEN, ARCHIVED = "i % 20 < 3", "i % 20 >= 3"
AUTHOR = "i % 20 % 3"  # 0: nobody


class Seed:
    """Fills an empty, migrated database; `seconds` is what that took."""

    def __init__(self, app: Any) -> None:
        began = time.monotonic()
        self.world = World(app)
        self.lite = db.engine.dialect.name == "sqlite"
        self.newest = clock.now()
        self.like = self._templates()
        self.named = {name: (type(value), value.id) for name, value in vars(self.world).items() if isinstance(value, Model)}
        db.session.remove()
        with db.engine.connect() as connection:
            self.raw = connection.connection.driver_connection
            self._quickly()
            self._fill()
            self._settle()
        del self.raw
        db.engine.dispose()
        self.seconds = time.monotonic() - began

    def again(self) -> Seed:
        """With the cast as this test's session reads it."""
        for name, (model, id) in self.named.items():
            setattr(self.world, name, db.session.get_one(model, id))
        return self

    def _templates(self) -> dict[Any, Any]:
        """One row of each kind."""
        w, now = self.world, self.newest
        first = w.conversation("template")
        ids = {"account_id": w.harbor.id, "conversation_id": first.id}
        with transaction():
            out = w.reply(first, w.maya)
            self.tags = [Tag(account_id=w.harbor.id, name=name, key=name.lower()).save().id for name in ("Urgent", "Lab", "Rare", "Unused")]
            notice = Notice(**ids, kind="assigned", member_id=w.dana.id, fanned_at=now).save()
            rows: list[Any] = [
                Tagging(conversation_id=first.id, tag_id=self.tags[0]), Draft(**ids, author_id=w.theo.id, body="Soon"), notice,
                Notification(notice_id=notice.id, member_id=w.dana.id, conversation_id=first.id, event="assigned", way="mail", due_at=now, state="sent", ended_at=now),
                TrayItem(member_id=w.dana.id, conversation_id=first.id, event="assigned", read_at=now),
                ScheduledMessage(**ids, author_id=w.maya.id, body="Later", planned_at=now, due_at=now, state="sent"),
                LoginSession(member_id=w.vera.id, token_digest="t"), Attempt(key="k"),
                Attachment(account_id=w.harbor.id, message_id=out.id, state="stored", content_type="image/png"),
                WebhookEvent(carrier_id=w.carrier.id, dedupe="d", kind="messages", method="POST", url="/", headers={}, body=b"", applied_at=now),
                SendAttempt(dispatch_id=Dispatch.of(out).id, number=1, claim="c", outcome="accepted"),
                ReceiptRow(account_id=w.harbor.id, message_id=out.id, dedupe="r", provider_id="p", status="delivered"),
                Consent(account_id=w.harbor.id, team_id=w.team.id, inbox_id=w.front.id, address="a", scope="team", opted_out=True, source="keyword"),
                LedgerEntry(account_id=w.harbor.id, kind="text", amount=-1, balance=0, reference="x"),
                Mention(message_id=out.id, member_id=w.dana.id, position=0, length=3),
                Call(**ids, inbox_id=w.front.id, message_id=out.id, number="+1", direction="in", state="missed", ref="c", ended_at=now),
                SavedView(account_id=w.harbor.id, member_id=w.dana.id, inbox_id=w.front.id, name="Unread", view="all", query="read=unread"),
            ]
            for row in rows:
                row.save()
            db.session.add_all([Following(conversation_id=first.id, member_id=w.theo.id), LastRead(conversation_id=first.id, member_id=w.dana.id, message_id=first.last_message_id)])
            db.session.add_all([SearchMark(name=name, reached=2**31 - 1, until=2**31 - 1) for name in ("messages", "contacts")])
        found = {type(row): row.id for row in rows}
        event = db.session.scalar(sa.select(Event.id).where(Event.conversation_id == first.id).order_by(Event.id).limit(1))
        self.first = first.id
        self.first_inbound, self.first_out = first.last_inbound_id, out.id
        found |= {Contact: first.contact_id, Conversation: first.id, Message: first.last_inbound_id, Dispatch: Dispatch.of(out).id, Event: event}
        db.session.commit()
        return found

    # -- how rows are made --------------------------------------------------------------------------------------------

    def _quickly(self) -> None:
        if self.lite:
            for pragma in ("foreign_keys=off", "synchronous=off", "cache_size=-200000", "temp_store=memory"):
                self.raw.execute(f"pragma {pragma}")
            self.raw.execute("BEGIN IMMEDIATE")
            self.raw.execute(f"CREATE TABLE made AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {2 * SIZE}) SELECT i FROM n")
            return
        self.raw.execute("SET session_replication_role = replica")  # no triggers: the keys are right
        self.raw.execute("SET maintenance_work_mem = '256MB'")
        self.raw.execute(f"CREATE TABLE made AS SELECT i FROM generate_series(1, {2 * SIZE}) AS i")

    def ago(self, seconds: str) -> str:
        """The moment so many seconds before the newest, as SQL."""
        base = self.newest.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
        if self.lite:
            return f"strftime('%Y-%m-%d %H:%M:%f', '{base}', (-1 * ({seconds})) || ' seconds') || '000'"
        return f"(timestamptz '{base}+00' - ({seconds}) * interval '1 second')"

    def make(self, model: Any, count: int, where: str = "true", /, **values: str) -> None:
        """Rows like the template, for each `i` up to `count` of which `where` is true; `values` are SQL of `i`, everything else is as in the template."""
        table = model.__table__
        named = {c.name: values.get(c.name, f'l."{c.name}"') for c in table.columns}
        key = "id" if "id" in table.c else "conversation_id"
        columns = ", ".join(f'"{name}"' for name in named)
        like = self.like.get(model, self.first)
        self.raw.execute(
            f'INSERT INTO "{table.name}" ({columns}) SELECT {", ".join(named.values())} FROM made CROSS JOIN (SELECT * FROM "{table.name}" WHERE "{key}" = {like} LIMIT 1) l'  # noqa: S608
            f" WHERE i <= {count} AND ({where})"
        )

    # -- what there is --------------------------------------------------------------------------------------------------

    def _fill(self) -> None:
        self._people()
        self._texts()
        self._around()
        self._behind()

    def _people(self) -> None:
        w, id = self.world, f"{FIRST} + i"
        at = self.ago(f"({SIZE} - i) * {EVERY}")
        members = f"CASE i / 7 % 4 WHEN 0 THEN NULL WHEN 1 THEN {w.maya.id} WHEN 2 THEN {w.theo.id} ELSE {w.dana.id} END"
        name = "'Person ' || i"
        self.make(
            Contact, SIZE, id=id, public_id="'c' || i", first_name="'Person'", last_name="'Kay'", name=name, phone=f"'+1' || ({2_000_000_000} + i)",
            owner_id=f"CASE WHEN i % 50 = 0 THEN {w.maya.id} END", blocked_at=f"CASE WHEN i % 500 = 1 THEN {at} END", created_at=at,
        )
        self.make(
            Conversation, SIZE, id=id, public_id="'v' || i", contact_id=id, address=f"'+1' || ({2_000_000_000} + i)",
            inbox_id=f"CASE WHEN i / 20 % 10 = 0 THEN {w.pharmacy.id} ELSE {w.front.id} END", assignee_id=members,
            archived_at=f"CASE WHEN {ARCHIVED} THEN {at} END", snoozed_until=f"CASE WHEN i % 20 = 3 THEN {self.ago('-86400 - i')} END",
            spam_at=f"CASE WHEN i % 20 = 4 THEN {at} END", merged_into_id=f"CASE WHEN i % 100 = 5 THEN {FIRST} + i - 5 END",
            last_activity_at=at, last_inbound_at=at, created_at=at, owed_since=f"CASE WHEN i % 20 < 2 THEN {at} END", unread=f"({OPEN} AND i % 3 = 0)", failed="(i % 50 = 0)",
            last_inbound_id=f"{FIRST} + 2 * i - 1", last_message_id=f"{FIRST} + 2 * i", preview_by_id="NULL",
        )
        live, lease = f"i % {max(20, SIZE // 50)} = 0", f"CASE WHEN i > {SIZE} / 2 THEN 5 ELSE -3600 END"
        self.make(
            Lock, SIZE, conversation_id=id, holder_id=f"CASE WHEN {live} THEN {w.theo.id} END", acquired_at=f"CASE WHEN {live} THEN {self.ago('60')} END",
            expires_at=f"CASE WHEN {live} THEN {self.ago(lease)} END",
            prompt_at=f"CASE WHEN {live} THEN {self.ago('-3600')} END", dies_at=f"CASE WHEN {live} THEN {self.ago('-7200')} END",
        )

    def _texts(self) -> None:
        w, out = self.world, "i % 2 = 0"
        at = self.ago(f"({SIZE} - (i + 1) / 2) * {EVERY} + i % 2")
        self.make(
            Message, 2 * SIZE, id=f"{FIRST} + i", public_id="'m' || i", ref="'m' || i", conversation_id=f"{FIRST} + (i + 1) / 2", provider_id="'SM' || i", created_at=at,
            inbox_id=f"CASE WHEN (i + 1) / 2 / 20 % 10 = 0 THEN {w.pharmacy.id} ELSE {w.front.id} END", kind=f"CASE WHEN {out} THEN 'out' ELSE 'in' END",
            author_id=f"CASE WHEN {out} THEN {w.maya.id} END", state=f"CASE WHEN {out} THEN CASE WHEN i % 1000 = 0 THEN 'failed' ELSE 'sent' END ELSE 'received' END",
            body="'kingfisher ' || i",
        )
        due = f"{self.ago('60')}"
        self.make(
            Dispatch, SIZE, id=f"{FIRST} + i", message_id=f"{FIRST} + 2 * i", conversation_id=f"{FIRST} + i", state="CASE WHEN i % 500 = 0 THEN 'queued' ELSE 'sent' END",
            next_at=due, sweep_at=f"CASE WHEN i % 2000 = 0 THEN {due} ELSE {self.ago('-3600')} END", lane="CASE WHEN i % 1000 = 0 THEN 'bulk' ELSE 'send' END",
        )
        self.make(SendAttempt, SIZE, id=f"{FIRST} + i", dispatch_id=f"{FIRST} + i", claim="'a' || i")
        self.make(ReceiptRow, SIZE, id=f"{FIRST} + i", message_id=f"{FIRST} + 2 * i", dedupe="'r' || i", provider_id="'SM' || (2 * i)")
        self._words()

    def _words(self) -> None:
        """What the searches of the tests look for; every text says kingfisher, twenty say needlework."""
        w = self.world
        rare = f"i % {max(1, SIZE // 10)} = 0"
        box = f"CASE WHEN (i + 1) / 2 / 20 % 10 = 0 THEN {w.pharmacy.id} ELSE {w.front.id} END"
        if self.lite:
            mine = f"CASE WHEN i % 2 = 0 THEN ' §kout §w{w.maya.id}' ELSE ' §kin' END"
            self.raw.execute(
                f"INSERT INTO message_words (rowid, words) SELECT {FIRST} + i, 'kingfisher' || CASE WHEN {rare} THEN ' needlework' ELSE '' END || ' §i' || ({box})"  # noqa: S608
                f" || ' §v' || ({FIRST} + (i + 1) / 2) || {mine} FROM made"
            )
            self.raw.execute(f"INSERT INTO contact_words (rowid, words) SELECT {FIRST} + i, 'person ' || i || ' 1' || (2000000000 + i) || ' §a{w.harbor.id}' FROM made WHERE i <= {SIZE}")  # noqa: S608
            return
        for index in ("ix_message_words_words", "ix_contact_words_words"):
            self.raw.execute(f"DROP INDEX {index}")
        mine = f"CASE WHEN i % 2 = 0 THEN '''§kout'':5 ''§w{w.maya.id}'':6' ELSE '''§kin'':5' END"
        self.raw.execute(
            f"INSERT INTO message_words (id, words) SELECT {FIRST} + i, ('''kingfisher'':1 ' || CASE WHEN {rare} THEN '''needlework'':2 ' ELSE '' END || '''§i' || ({box})"  # noqa: S608
            f" || ''':3 ''§v' || ({FIRST} + (i + 1) / 2) || ''':4 ' || {mine})::tsvector FROM made"
        )
        self.raw.execute(
            f"INSERT INTO contact_words (id, words) SELECT {FIRST} + i, ('''person'':1 ''' || i || ''':2 ''1' || (2000000000 + i) || ''':3 ''§a{w.harbor.id}'':4')::tsvector"  # noqa: S608
            f" FROM made WHERE i <= {SIZE}"
        )
        for statement in engine.CREATE["postgresql"]:
            self.raw.execute(statement)

    def _around(self) -> None:
        """What people put beside conversations, and what they are told."""
        w, talk, at = self.world, f"{FIRST} + i", self.ago(f"({SIZE} - i) * {EVERY}")
        few = max(1, SIZE // 3)
        self.make(Tagging, SIZE, "i % 200 = 0", id=f"{FIRST} + i", conversation_id=talk)
        self.make(Tagging, SIZE, "i % 5 = 0", id=f"{FIRST + SIZE} + i", conversation_id=talk, tag_id=str(self.tags[1]))
        self.make(Tagging, SIZE, f"i % {few} = 0", id=f"{FIRST + 2 * SIZE} + i", conversation_id=talk, tag_id=str(self.tags[2]))
        self.make(Draft, SIZE, "i % 4 = 0", id=f"{FIRST} + i", conversation_id=talk, updated_at=at, release="(i % 2500 = 0)")
        self.make(Following, SIZE, "i % 20 = 0", conversation_id=talk)
        self.make(LastRead, SIZE, "i % 2 = 0", conversation_id=talk, message_id=f"{FIRST} + 2 * i - 1")
        for turn, kind in enumerate(("conversation.assigned", "lock.acquired")):
            self.make(Event, SIZE, id=f"{FIRST + turn * SIZE} + i", conversation_id=talk, kind=f"'{kind}'", at=at, actor_id=str(w.maya.id), topic="'activity'", inbox_id=str(w.front.id))
        self.make(Event, SIZE, "i % 10 = 0", id=f"{FIRST + 2 * SIZE} + i", conversation_id="NULL", kind="'role.changed'", at=at, actor_id=str(w.dana.id), topic="'access'")
        self.make(Notice, SIZE, "i % 5 = 0", id=talk, conversation_id=talk, created_at=at, fanned_at=f"CASE WHEN i % 10000 = 0 THEN NULL ELSE {at} END")
        self.make(
            Notification, SIZE, "i % 5 = 0", id=talk, notice_id=talk, conversation_id=talk, created_at=at, due_at=at,
            state="CASE WHEN i % 10000 = 0 THEN 'waiting' ELSE 'sent' END", ended_at=f"CASE WHEN i % 10000 = 0 THEN NULL ELSE {at} END",
        )
        self.make(TrayItem, SIZE, "i % 5 = 0", id=talk, conversation_id=talk, notice_id="NULL", created_at=at, read_at=f"CASE WHEN i % 100 = 0 THEN NULL ELSE {at} END")
        plan = self.ago("(i % 100 - 50) * 60")
        self.make(
            ScheduledMessage, SIZE, "i % 20 = 0", id=talk, public_id="'s' || i", conversation_id=talk, due_at=plan, planned_at=plan, nonce="NULL",
            state="CASE WHEN i % 200 = 0 THEN 'waiting' ELSE 'sent' END",
        )

    def _behind(self) -> None:
        """What nobody looks at every day."""
        at, id = self.ago(f"({SIZE} - i) * {EVERY}"), f"{FIRST} + i"
        self.make(LoginSession, SIZE, "i % 20 = 0", id=id, token_digest="'t' || i", previous_digest="'p' || i", created_at=at, seen_at=at)
        self.make(Attempt, SIZE, "i % 5 = 0", id=id, key="'k' || i", last_at=self.ago("i % 1000"))
        self.make(Attachment, SIZE, "i % 10 = 0", id=id, public_id="'f' || i", message_id=f"{FIRST} + i", state="CASE WHEN i % 10000 = 0 THEN 'pending' ELSE 'stored' END", next_at=at)
        self.make(WebhookEvent, SIZE, id=id, dedupe="'d' || i", received_at=at, applied_at=f"CASE WHEN i % 10000 = 0 THEN NULL ELSE {at} END")
        self.make(Consent, SIZE, "i % 10 = 0", id=id, address=f"'+1' || ({2_000_000_000} + i)", opted_out="(i % 20 = 0)", at=at)
        self.make(LedgerEntry, SIZE, "i % 2 = 0", id=id, reference="'x' || i", at=at, message_id=f"{FIRST} + 2 * i")
        self.make(Mention, SIZE, "i % 50 = 0", id=id, message_id=f"{FIRST} + 2 * i")
        self.make(
            Call, SIZE, "i % 50 = 0", id=id, public_id="'a' || i", conversation_id=id, message_id=f"{FIRST} + 2 * i - 1", ref="'a' || i", provider_id="'CA' || i", started_at=at,
        )

    def _settle(self) -> None:
        """Let the planner know what there is."""
        self.raw.execute("DROP TABLE made")
        if self.lite:
            self.raw.execute("COMMIT")
            self.raw.execute("pragma foreign_keys=on")
            return
        for table in db.metadata.sorted_tables:
            if "id" in table.c and len(table.primary_key) == 1:
                self.raw.execute(f"SELECT setval(pg_get_serial_sequence('\"{table.name}\"', 'id'), (SELECT coalesce(max(id), 0) + 1 FROM \"{table.name}\"))")  # noqa: S608
        self.raw.execute("SET session_replication_role = origin")
        self.raw.commit()
        self.raw.autocommit = True
        self.raw.execute("VACUUM ANALYZE")
        self.raw.autocommit = False


def begins(days: int) -> str:
    """A day so long ago, as addresses write it."""
    return (datetime.now(UTC) - timedelta(days=days)).date().isoformat()
