"""Templates: texts to insert, one's own or the team's, with their history and how much they are used (TOOL-1)."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from inbox import clock, placeholders
from inbox.models.base import Model, Moment, Refused, db, now_column, one_line, public_id
from inbox.models.carrier import insert_or_ignore
from inbox.models.contact_field import ContactField
from inbox.models.event import Event
from inbox.models.inbox import Inbox
from inbox.models.member import Member
from inbox.models.wording import Wording
from inbox.permissions import Permission

PAGE = 100
USED = timedelta(days=30)
OPEN = sa.text("archived_at IS NULL AND owner_id IS NOT NULL")
OPEN_TEAM = sa.text("archived_at IS NULL AND owner_id IS NULL")


class TemplateChanged(Refused):
    """Somebody saved it first."""

    status = 409


class TemplateInbox(Model):
    """An inbox that a template is only for."""

    __tablename__ = "template_inbox"
    template_id: Mapped[int] = mapped_column(sa.ForeignKey("template.id"))
    inbox_id: Mapped[int] = mapped_column(sa.ForeignKey("inbox.id"), index=True)

    __table_args__ = (sa.UniqueConstraint("template_id", "inbox_id"),)


class TemplateVersion(Model):
    """What a template said once somebody had saved it; the newest is what it says now."""

    __tablename__ = "template_version"
    template_id: Mapped[int] = mapped_column(sa.ForeignKey("template.id"))
    number: Mapped[int]
    by_id: Mapped[int] = mapped_column(sa.ForeignKey("member.id"))
    at: Mapped[datetime] = now_column()
    name: Mapped[str] = mapped_column(sa.String(80))
    body: Mapped[str] = mapped_column(sa.Text)
    variants: Mapped[dict[str, str]] = mapped_column(sa.JSON, default=dict)
    by: Mapped[Member] = relationship(lazy="raise")

    __table_args__ = (sa.UniqueConstraint("template_id", "number"),)


class TemplateUse(Model):
    """How often a member inserted a template on one day."""

    __tablename__ = "template_use"
    template_id: Mapped[int] = mapped_column(sa.ForeignKey("template.id"))
    member_id: Mapped[int] = mapped_column(sa.ForeignKey("member.id"))
    day: Mapped[date] = mapped_column(sa.Date)
    times: Mapped[int] = mapped_column(default=1)
    at: Mapped[datetime] = now_column()

    __table_args__ = (sa.UniqueConstraint("template_id", "day", "member_id"), sa.Index("ix_template_use_member", "member_id", "template_id", "at"))


class Template(Model):
    """A text to insert. Without an owner it is the team's; `words` is all of it folded, to search in."""

    __tablename__ = "template"
    public_id: Mapped[str] = mapped_column(sa.String(20), unique=True, default=public_id)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"))
    owner_id: Mapped[int | None] = mapped_column(sa.ForeignKey("member.id"))
    name: Mapped[str] = mapped_column(sa.String(80))
    shortcut: Mapped[str] = mapped_column(sa.String(40))
    folder: Mapped[str] = mapped_column(sa.String(60), default="")
    body: Mapped[str] = mapped_column(sa.Text)
    variants: Mapped[dict[str, str]] = mapped_column(sa.JSON, default=dict)
    words: Mapped[str] = mapped_column(sa.Text)
    version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime] = now_column()
    updated_at: Mapped[datetime] = now_column()
    archived_at: Mapped[datetime | None] = mapped_column(Moment)

    __table_args__ = (
        sa.Index("uq_template_own_shortcut", "owner_id", "shortcut", unique=True, sqlite_where=OPEN, postgresql_where=OPEN),
        sa.Index("uq_template_team_shortcut", "account_id", "shortcut", unique=True, sqlite_where=OPEN_TEAM, postgresql_where=OPEN_TEAM),
        sa.Index("ix_template_list", "account_id", "folder", "name", "id"),
    )

    # -- finding --------------------------------------------------------------------------------------------------

    @staticmethod
    def scope(member: Member, *, inbox: Inbox | None = None) -> Any:
        """The query of templates a member may read: their own, and the team's that are for everybody or for an inbox they read; with `inbox`, those for it."""
        here = sa.select(TemplateInbox.id).where(TemplateInbox.template_id == Template.id)
        readable = sa.or_(~here.exists(), here.where(TemplateInbox.inbox_id.in_([inbox.id] if inbox else list(member.readable_inbox_ids))).exists())
        mine = Template.owner_id == member.id
        if inbox is not None:
            allowed = sa.and_(readable, sa.or_(mine, Template.owner_id.is_(None)))
        elif member.can(Permission.TEMPLATES_MANAGE):
            allowed = sa.or_(mine, Template.owner_id.is_(None))
        else:
            team = sa.and_(Template.owner_id.is_(None), readable) if member.can(Permission.CONVERSATIONS_VIEW) else sa.false()
            allowed = sa.or_(mine, team)
        return sa.select(Template).where(Template.account_id == member.account_id, allowed)

    @staticmethod
    def listing(
        member: Member, *, words: str = "", folder: str | None = None, archived: bool = False, after: Template | None = None, limit: int = PAGE
    ) -> list[Template]:
        """A page of the list, by folder and name, after a template; `folder` None means every one."""
        gone = Template.archived_at.is_not(None) if archived else Template.archived_at.is_(None)
        query = Template.scope(member).where(gone, *matching(words))
        if folder is not None:
            query = query.where(Template.folder == folder)
        if after is not None:
            query = query.where(sa.tuple_(Template.folder, Template.name, Template.id) > sa.tuple_(*map(sa.literal, (after.folder, after.name, after.id))))
        return list(db.session.scalars(query.order_by(Template.folder, Template.name, Template.id).limit(limit)))

    @staticmethod
    def folders(member: Member) -> list[str]:
        """The folders in use, sorted, the nameless one left out."""
        query = Template.scope(member).where(Template.archived_at.is_(None), Template.folder != "").with_only_columns(Template.folder).distinct()
        return sorted(db.session.scalars(query.limit(200)), key=str.casefold)

    @staticmethod
    def used(ids: list[int]) -> dict[int, int]:
        """How often each was inserted in the last thirty days."""
        since = (clock.now() - USED).date()
        query = sa.select(TemplateUse.template_id, sa.func.sum(TemplateUse.times)).where(TemplateUse.template_id.in_(ids), TemplateUse.day > since)
        return {id: int(times) for id, times in db.session.execute(query.group_by(TemplateUse.template_id))}

    @staticmethod
    def inboxes_of(ids: list[int]) -> dict[int, list[Inbox]]:
        """The inboxes each is only for; those for every inbox are left out."""
        found: dict[int, list[Inbox]] = {}
        query = sa.select(TemplateInbox.template_id, Inbox).join(Inbox, Inbox.id == TemplateInbox.inbox_id).where(TemplateInbox.template_id.in_(ids))
        for id, inbox in db.session.execute(query.order_by(Inbox.name)):
            found.setdefault(id, []).append(inbox)
        return found

    @staticmethod
    def fields(account_id: int) -> set[str]:
        """The keys of contacts' own fields, by what they are called now and by the name their values are kept under."""
        return {placeholders.key(name) for field in ContactField.of(account_id) for name in (field.name, field.key)} - {""}

    def history(self, limit: int = 30) -> list[TemplateVersion]:
        """What it said, newest first."""
        query = sa.select(TemplateVersion).options(sa.orm.joinedload(TemplateVersion.by)).where(TemplateVersion.template_id == self.id)
        return list(db.session.scalars(query.order_by(TemplateVersion.number.desc()).limit(limit)))

    @property
    def archived(self) -> bool:
        return self.archived_at is not None

    @property
    def shared(self) -> bool:
        return self.owner_id is None

    @property
    def wording(self) -> Wording:
        return Wording(self.name, self.shortcut, self.body, self.folder, dict(self.variants))

    def editable_by(self, member: Member) -> bool:
        """Whether they may change it: their own, or the team's with the permission."""
        return member.active and self.account_id == member.account_id and (self.owner_id == member.id or (self.shared and bool(member.can(Permission.TEMPLATES_MANAGE))))

    # -- making and changing --------------------------------------------------------------------------------------

    @staticmethod
    def create(wording: Wording, *, by: Member, shared: bool = False, inboxes: list[Inbox] | None = None) -> Template:
        """A new template of `by`, or of the team."""
        if shared:
            by.require(Permission.TEMPLATES_MANAGE)
        wording = wording.checked(Template.fields(by.account_id))
        made = Template(account_id=by.account_id, owner_id=None if shared else by.id, version=0)
        made._say(wording)
        made._store()
        made._keep(by)
        made.limit_to(inboxes or [])
        made._note("created", by)
        return made

    def change(self, wording: Wording, *, by: Member, version: int, shared: bool | None = None, inboxes: list[Inbox] | None = None) -> None:
        """Say something else; `shared` gives it to the team, or takes it back for `by`. Raises TemplateChanged when somebody saved since `version`."""
        self._require(by)
        if shared is not None and shared != self.shared:
            by.require(Permission.TEMPLATES_MANAGE)
        wording = wording.checked(Template.fields(by.account_id))
        self._claim(version)
        said, was = (self.name, self.body, self.variants), self.shared
        self._say(wording)
        if shared is not None and shared != was:
            self.owner_id = None if shared else by.id
        self._store()
        if said != (self.name, self.body, self.variants):
            self._keep(by)
        if inboxes is not None:
            self.limit_to(inboxes)
        self._note("changed", by, was=was)

    def restore(self, number: int, *, by: Member) -> None:
        """Say again what version `number` said; what it says now stays in the history."""
        self._require(by)
        old = db.session.scalar(sa.select(TemplateVersion).where(TemplateVersion.template_id == self.id, TemplateVersion.number == number))
        if old is None:
            raise Refused("That version is not there any more.")
        self.change(Wording(old.name, self.shortcut, old.body, self.folder, dict(old.variants)), by=by, version=self.version)

    def archive(self, *, by: Member) -> None:
        """Offer it no more; its shortcut is free again."""
        self._shelve(clock.now(), "archived", by)

    def unarchive(self, *, by: Member) -> None:
        """Offer it again; raises Refused while another has its shortcut."""
        self._shelve(None, "restored", by)

    def _shelve(self, at: datetime | None, verb: str, by: Member) -> None:
        self._require(by)
        if self.archived == (at is not None):
            return
        self.archived_at = at
        self._store()
        self._note(verb, by)

    def insert(self, *, by: Member) -> None:
        """Count one use, by one statement."""
        insert = insert_or_ignore()(TemplateUse).values(template_id=self.id, member_id=by.id, day=clock.now().date(), times=1, at=clock.now())
        db.session.execute(
            insert.on_conflict_do_update(
                index_elements=["template_id", "day", "member_id"], set_={"times": TemplateUse.times + 1, "at": insert.excluded.at}
            )
        )

    def limit_to(self, inboxes: list[Inbox]) -> None:
        """Offer it only in these inboxes; in every one when there is none."""
        if any(inbox.account_id != self.account_id for inbox in inboxes):
            raise Refused("Choose inboxes from the list.", field="inboxes")
        db.session.execute(sa.delete(TemplateInbox).where(TemplateInbox.template_id == self.id))
        for inbox in inboxes:
            TemplateInbox(template_id=self.id, inbox_id=inbox.id).save()

    def _require(self, by: Member) -> None:
        if self.shared:
            by.require(Permission.TEMPLATES_MANAGE)
        if not self.editable_by(by):
            raise Refused("This template belongs to somebody else.")

    def _say(self, wording: Wording) -> None:
        self.name, self.shortcut, self.folder, self.body, self.variants = wording.name, wording.shortcut, wording.folder, wording.body, wording.variants
        self.words = " ".join([wording.shortcut, wording.name, wording.folder, wording.body, *wording.variants.values()]).casefold()
        self.updated_at = clock.now()

    def _claim(self, version: int) -> None:
        moved = db.session.execute(
            sa.update(Template).where(Template.id == self.id, Template.version == version).values(version=version + 1).returning(Template.id)
            .execution_options(synchronize_session=False)
        ).scalar()
        if moved is None:
            raise TemplateChanged("Somebody changed this template meanwhile. Your words are still here: look at theirs, then save again.")
        db.session.refresh(self)

    def _store(self) -> None:
        """Write it; of two that take one shortcut at the same moment one is told."""
        shortcut = self.shortcut
        try:
            with db.session.begin_nested():
                self.save()
        except sa.exc.IntegrityError:
            raise Refused(f"There is a template with the shortcut /{shortcut} already.", field="shortcut") from None

    def _keep(self, by: Member) -> None:
        number = (db.session.scalar(sa.select(sa.func.max(TemplateVersion.number)).where(TemplateVersion.template_id == self.id)) or 0) + 1
        TemplateVersion(template_id=self.id, number=number, by_id=by.id, name=self.name, body=self.body, variants=self.variants).save()

    def _note(self, verb: str, by: Member, *, was: bool = False) -> None:
        if self.shared or was:  # what people keep for themselves is nobody's business
            Event.record(f"template.{verb}", account=self.account_id, by=by, name=self.name)


def matching(words: str) -> list[Any]:
    """Conditions for templates that hold every one of these words."""
    escaped = (word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_") for word in one_line(words).casefold().split()[:8])
    return [Template.words.like(f"%{word}%", escape="\\") for word in escaped]
