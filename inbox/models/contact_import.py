"""A CSV import of contacts: uploaded, mapped, checked row by row, applied in batches (DATA-1)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column, relationship

from inbox import background, clock, realtime, sheet
from inbox import phone as phones
from inbox.models.account import Account
from inbox.models.base import Model, Moment, Refused, db, now_column, public_id
from inbox.models.carrier import insert_or_ignore
from inbox.models.contact import Contact
from inbox.models.event import Event
from inbox.models.member import Member
from inbox.permissions import Permission

FIELDS = {
    "first_name": "First name", "last_name": "Last name", "phone": "Mobile", "email": "E-mail", "external_id": "Contact ID", "user_id": "UserID",
}
# Column titles as address books of several languages write them, letters and digits only.
TITLES = {
    "first_name": "firstname first givenname given forename vorname prenom prénom nombre nome imie imię имя 名 שםפרטי الاسمالأول fname voornaam fornavn förnamn isim",
    "last_name": "lastname last surname familyname family nachname nom apellido apellidos sobrenome cognome nazwisko фамилия 姓 苗字 שםמשפחה اسمالعائلة اللقب lname achternaam "
    "etternavn efternamn soyad soyadı",
    "full_name": "name fullname displayname contact contactname kunde client cliente 姓名 氏名 名前 الاسم שם fullnaam fileas الاسمالكامل שםמלא полноеимя",
    "phone": "phone phonenumber mobile mobilephone mobilenumber cell cellphone cellular tel telephone telefon telefono teléfono téléphone telephonenumber handy mobil mobilnummer "
    "mobiltelefon portable celular móvil movil телефон мобильный 电话 手机 手机号 手机号码 電話 電話番号 携帯 携帯電話 "
    "טלפון נייד טלפוןנייד الهاتف رقمالهاتف الجوال phone1value phone1 number msisdn rufnummer telefonnummer "
    "numero numéro telefone primaryphone",
    "email": "email emailaddress mail e-mail emailadresse "
    "correo correoelectronico correoelectrónico courriel adresseemail почта эл.почта электроннаяпочта 邮箱 电子邮件 電子メール メール "
    "メールアドレス דואל אימייל البريد البريدالإلكتروني البريدالالكتروني email1value email1 epost epostadresse",
    "external_id": "contactid id externalid customerid customernumber kundennummer clientid crmid contactno",
    "user_id": "userid owner ownerid ownerуserid assignedto agentid memberid",
}
BATCH = 500
PROBLEMS = ("conflict", "duplicate", "invalid")
_JOINERS = "\u200c\u200d"  # several scripts and emoji need them; other hidden characters only deceive
_LETTERS = re.compile(r"[A-Za-z<>@;]")
EMAIL = re.compile(r"[^@\s<>,;\"]+@[^@\s<>,;\"]+\.[^@\s<>,;\".]{2,}")


class ContactImport(Model):
    """One file. States: mapping, checking, checked, running, done, failed, canceled."""

    __tablename__ = "contact_import"
    public_id: Mapped[str] = mapped_column(sa.String(20), unique=True, default=public_id)
    account_id: Mapped[int] = mapped_column(sa.ForeignKey("account.id"), index=True)
    member_id: Mapped[int] = mapped_column(sa.ForeignKey("member.id"))
    filename: Mapped[str] = mapped_column(sa.String(200))
    data: Mapped[bytes] = mapped_column(sa.LargeBinary, deferred=True)
    encoding: Mapped[str] = mapped_column(sa.String(40), default="")
    delimiter: Mapped[str] = mapped_column(sa.String(1), default=",")
    header: Mapped[list[str]] = mapped_column(sa.JSON, default=list)
    sample: Mapped[list[list[str]]] = mapped_column(sa.JSON, default=list)
    mapping: Mapped[dict[str, Any]] = mapped_column(sa.JSON, default=dict)
    state: Mapped[str] = mapped_column(sa.String(10), default="mapping")
    total: Mapped[int] = mapped_column(default=0)
    done: Mapped[int] = mapped_column(default=0)
    counts: Mapped[dict[str, int]] = mapped_column(sa.JSON, default=dict)
    problem: Mapped[str] = mapped_column(sa.String(300), default="")
    created_at: Mapped[datetime] = now_column()
    finished_at: Mapped[datetime | None] = mapped_column(Moment)
    member: Mapped[Member] = relationship()

    # -- by a person ------------------------------------------------------------------------------------------

    @staticmethod
    def upload(filename: str, data: bytes, *, by: Member, encoding: str = "") -> ContactImport:
        """Keep a file that reads as a table, with a guess at what its columns are; Refused says why it does not."""
        by.require(Permission.CONTACTS_IMPORT)
        made = ContactImport(account_id=by.account_id, member_id=by.id, filename=clean_filename(filename), data=data)
        made._read(encoding)
        return made.save()

    def read_again(self, encoding: str, *, by: Member) -> None:
        """Read the file in another encoding that a person chose."""
        by.require(Permission.CONTACTS_IMPORT)
        if encoding not in (*sheet.ENCODINGS, self.encoding):
            raise Refused("Choose an encoding from the list.", field="encoding")
        self._only("mapping", "checked")
        self._read(encoding)

    def _read(self, encoding: str) -> None:
        try:
            found = sheet.look(self.data, encoding)
        except sheet.NotATable as error:
            raise Refused(str(error), field="file") from None
        with_header = not any(normalized(cell, "US") or EMAIL.fullmatch(cell) for cell in found.first[0])
        if with_header and len(found.first) < 2:
            raise Refused("The file has a header but no contacts below it.", field="file")
        self.encoding, self.delimiter, self.state = found.encoding, found.delimiter, "mapping"
        self.header = [cell[:80] for cell in found.first[0]]
        self.sample = [[cell[:80] for cell in row] for row in found.first[:6]]
        width = max(map(len, found.first))
        columns = match_columns(found.first[0], width) if with_header else guess_columns(found.first, width)
        self.mapping = {"columns": columns, "header": with_header, "clear": False}

    def start_check(self, columns: list[str], *, header: bool, clear: bool, by: Member) -> None:
        """Begin the dry run with these columns; nothing of the contacts changes."""
        by.require(Permission.CONTACTS_IMPORT)
        self._only("mapping", "checked")
        chosen = [name for name in columns if name]
        for name in chosen:
            if name not in (*FIELDS, "full_name"):
                raise Refused("Choose what each column holds from the list.", field="columns")
            if chosen.count(name) > 1:
                raise Refused(f"Only one column can be {FIELDS.get(name, 'Full name')}.", field="columns")
        if "phone" not in chosen and "external_id" not in chosen:
            raise Refused("Choose which column holds the mobile number.", field="columns")
        self.mapping = {"columns": columns, "header": header, "clear": clear}
        self.state, self.total, self.done, self.counts, self.problem = "checking", 0, 0, {}, ""
        self.changed()
        background.enqueue("check_import", self.id, on="mail")

    def run(self, *, by: Member) -> None:
        """Apply what the dry run showed."""
        by.require(Permission.CONTACTS_IMPORT)
        self._only("checked")
        self.state, self.done = "running", 0
        self.total = db.session.scalar(sa.select(sa.func.count(ImportRow.id)).where(*self._to_apply())) or 0
        Event.record("import.started", account=self.account_id, by=by, file=self.filename, rows=self.total)
        self.changed()
        background.enqueue("run_import", self.id, on="mail")

    def cancel(self, *, by: Member) -> None:
        """Stop; what is not applied yet never will be."""
        by.require(Permission.CONTACTS_IMPORT)
        if self.state in ("done", "failed", "canceled"):
            return
        self.state, self.finished_at, self.counts = "canceled", clock.now(), self.applied_counts()
        Event.record("import.canceled", account=self.account_id, by=by, file=self.filename)
        self.changed()

    def _only(self, *states: str) -> None:
        if self.state not in states:
            raise Refused("This import has moved on meanwhile. Look at where it is now.")

    @property
    def moving(self) -> bool:
        return self.state in ("checking", "running")

    @property
    def percent(self) -> int:
        return min(100, self.done * 100 // self.total) if self.total else 0

    def changed(self) -> None:
        """Tell open pages."""
        realtime.publish("import", account=self.account_id, **{"import": self.id})

    def fail(self, sentence: str) -> None:
        self.state, self.problem, self.finished_at = "failed", sentence[:300], clock.now()
        self.changed()

    @staticmethod
    def of(account_id: int) -> list[ContactImport]:
        """The newest imports of an account."""
        return list(db.session.scalars(sa.select(ContactImport).where(ContactImport.account_id == account_id).order_by(ContactImport.id.desc()).limit(50)))

    # -- the dry run ------------------------------------------------------------------------------------------

    def checker(self) -> Checker:
        """What judges the rows one after the other; nothing of earlier tries is kept."""
        db.session.execute(sa.delete(ImportRow).where(ImportRow.import_id == self.id))
        account = db.session.get_one(Account, self.account_id)
        members = {m.user_id.casefold(): m.id for m in Member.of(self.account_id)}
        return Checker(self.account_id, account.country or "US", list(self.mapping["columns"]), bool(self.mapping["clear"]), members)

    def file_rows(self) -> list[list[str]]:
        """All rows below the header; Refused when there are too many or none."""
        try:
            every = []
            for row in sheet.rows(self.data, self.encoding, self.delimiter):
                every.append(row)
                if len(every) > sheet.MAX_ROWS + 1:
                    raise Refused(f"The file has more than {sheet.MAX_ROWS:,} rows. Split it and import the parts one after the other.")
        except sheet.NotATable as error:
            raise Refused(str(error)) from None
        every = every[1:] if self.mapping["header"] else every
        if not every:
            raise Refused("The file has a header but no contacts below it.")
        return every

    def note_verdicts(self, verdicts: list[dict[str, Any]]) -> None:
        """Store a batch of verdicts and the progress."""
        db.session.execute(sa.insert(ImportRow), [{"import_id": self.id, "applied": False, **verdict} for verdict in verdicts])
        self.done += len(verdicts)
        self.changed()

    def finish_check(self) -> None:
        self.state, self.counts = "checked", self.planned_counts()
        self.changed()

    def planned_counts(self) -> dict[str, int]:
        return self._counts(ImportRow.import_id == self.id)

    def applied_counts(self) -> dict[str, int]:
        """What really happened, counted from the rows: problems count whenever they were found."""
        return self._counts(ImportRow.import_id == self.id, sa.or_(ImportRow.applied, ImportRow.effect.in_((*PROBLEMS, "unchanged"))))

    def _counts(self, *where: Any) -> dict[str, int]:
        query = sa.select(ImportRow.effect, ImportRow.owner, sa.func.count(ImportRow.id)).where(*where).group_by(ImportRow.effect, ImportRow.owner)
        counts: dict[str, int] = {}
        for effect, owner, number in db.session.execute(query):
            counts[effect] = counts.get(effect, 0) + number
            if owner:
                counts[f"owner_{owner}"] = counts.get(f"owner_{owner}", 0) + number
        return counts

    def rows_with(self, effects: Iterable[str], *, after: int = 0, limit: int = 50) -> list[ImportRow]:
        """Verdicts of these kinds in file order."""
        query = sa.select(ImportRow).where(ImportRow.import_id == self.id, ImportRow.effect.in_(list(effects)), ImportRow.number > after)
        return list(db.session.scalars(query.order_by(ImportRow.number).limit(limit)))

    # -- the run ----------------------------------------------------------------------------------------------

    def _to_apply(self) -> list[Any]:
        return [ImportRow.import_id == self.id, ImportRow.applied.is_(False), ImportRow.effect.in_(("create", "update"))]

    def apply_batch(self) -> int:
        """Apply the next rows in the caller's transaction, each exactly once; 0 when nothing is left."""
        rows = list(db.session.scalars(sa.select(ImportRow).where(*self._to_apply()).order_by(ImportRow.number).limit(BATCH).with_for_update()))
        if not rows:
            self.state, self.finished_at, self.counts = "done", clock.now(), self.applied_counts()
            Event.record("import.finished", account=self.account_id, file=self.filename, counts=dict(self.counts))
            self.changed()
            return 0
        _Batch(self, rows).apply()
        self.done += len(rows)
        self.counts = self.applied_counts()
        self.changed()
        return len(rows)


class ImportRow(Model):
    """The verdict on one row: effect is create, update, unchanged, duplicate, conflict or invalid; `owner` is set, cleared or empty."""

    __tablename__ = "import_row"
    import_id: Mapped[int] = mapped_column(sa.ForeignKey("contact_import.id"))
    number: Mapped[int] = mapped_column()
    values: Mapped[dict[str, Any]] = mapped_column(sa.JSON)
    effect: Mapped[str] = mapped_column(sa.String(10))
    owner: Mapped[str] = mapped_column(sa.String(8), default="")
    problem: Mapped[str] = mapped_column(sa.String(300), default="")
    applied: Mapped[bool] = mapped_column(default=False)

    __table_args__ = (sa.UniqueConstraint("import_id", "number"),)

    @property
    def shown_phone(self) -> str:
        return phones.display(self.values["phone"]) if self.values.get("phone") else self.values.get("raw_phone", "")


# -- reading one row --------------------------------------------------------------------------------------------------


def title(text: str) -> str:
    """A column title as it is compared: letters and digits only."""
    return "".join(c for c in unicodedata.normalize("NFKC", text).casefold() if c.isalnum())


_KNOWN = {title(word): name for name, words in TITLES.items() for word in words.split()}


def match_columns(header: list[str], width: int) -> list[str]:
    """What each column holds by its title; each field once, the first column that names it."""
    columns: list[str] = []
    for cell in [*header, *[""] * (width - len(header))]:
        name = _KNOWN.get(title(cell), "")
        columns.append(name if name not in columns else "")
    if "phone" not in columns:
        for place, cell in enumerate(header):
            if not columns[place] and any(word in title(cell) for word in ("mobile", "phone", "telef", "cell")):
                columns[place] = "phone"
                break
    if "email" not in columns:
        for place, cell in enumerate(header):
            if not columns[place] and title(cell).startswith("email") and "type" not in title(cell) and "label" not in title(cell):
                columns[place] = "email"
                break
    if "first_name" in columns and "full_name" in columns:
        columns[columns.index("full_name")] = ""
    return columns


def guess_columns(first: list[list[str]], width: int) -> list[str]:
    """What the columns of a file without a header hold, by their values; two columns of words are the names."""
    columns = [""] * width
    for place in range(width):
        cells = [row[place] for row in first if place < len(row) and row[place]]
        if not cells:
            continue
        if "phone" not in columns and sum(bool(normalized(cell, "US")) for cell in cells) * 2 > len(cells):
            columns[place] = "phone"
        elif "email" not in columns and sum(bool(EMAIL.fullmatch(cell)) for cell in cells) * 2 > len(cells):
            columns[place] = "email"
    wordy = [place for place in range(width) if not columns[place] and any(c.isalpha() for row in first if place < len(row) for c in row[place])]
    for place, name in zip(wordy, ("first_name", "last_name") if len(wordy) > 1 else ("full_name",), strict=False):
        columns[place] = name
    return columns


def plain_number(text: str) -> str:
    """The number without what spreadsheets and address books put around it."""
    text = "".join(c for c in unicodedata.normalize("NFKC", text) if unicodedata.category(c) not in ("Cf", "Cc")).strip().lstrip("'’`").strip()
    text = re.sub(r"^(tel|sms|phone|mobile)\s*:\s*", "", text, flags=re.IGNORECASE)
    if re.fullmatch(r"=\"[^\"]*\"", text):
        text = text[2:-1]
    text = re.sub(r"\s*(x|ext\.?)\s*\d{1,6}$", "", text, flags=re.IGNORECASE)
    return text[:-2] if re.fullmatch(r"\d{7,}\.0", text) else text


def normalized(text: str, region: str) -> str | None:
    """The E.164 form of a cell, or None when it holds no full number."""
    plain = plain_number(text)
    if not plain or _LETTERS.search(plain):
        return None
    digits = "".join(str(unicodedata.digit(c)) for c in plain if c.isdigit())
    if len(digits) < 7 or len(set(digits)) == 1:
        return None
    found = phones.normalize(plain, region)
    if found is not None and phones.valid(found):
        return found
    # A country code without its plus sign, or after the 00 that most of the world dials.
    longer = phones.normalize(f"+{digits.removeprefix('00')}", region) if 10 < len(digits) < 18 and not plain.startswith("+") else None
    return longer if longer is not None and phones.valid(longer) else found


def number_problem(text: str) -> str:
    """Why a cell is not a number, for the person who has the file."""
    plain = plain_number(text)
    if re.fullmatch(r"[+-]?\d+([.,]\d+)?[eE][+-]?\d+", plain):
        return f"“{text[:40]}”: the spreadsheet shortened this number. Format the column as text and export it again."
    digits = sum(c.isdigit() for c in plain)
    if _LETTERS.search(plain) or not digits:
        return f"“{text[:40]}” is not a phone number."
    if digits < 7:
        return f"“{text[:40]}” is too short for a phone number."
    return f"“{text[:40]}” is too long for a phone number." if digits > 15 else f"“{text[:40]}” is not a full phone number. Is the area or country code missing?"


def clean_filename(name: str) -> str:
    """The file's name for showing: one line, without hidden characters or folders."""
    visible = "".join(c for c in name.replace("\\", "/").rsplit("/", 1)[-1] if c.isprintable())
    return visible.strip()[:200] or "contacts.csv"


@dataclass
class Checker:
    """Judges rows in file order against the contacts as they are now."""

    account_id: int
    region: str
    columns: list[str]
    clear: bool
    members: dict[str, int]
    seen: dict[str, int] = field(default_factory=dict)

    def judge(self, numbered: list[tuple[int, list[str]]]) -> list[dict[str, Any]]:
        """The verdicts on a batch of rows."""
        read = [(number, self._values(cells)) for number, cells in numbered]
        known = known_contacts(self.account_id, [values for _, values in read])
        return [self._verdict(number, values, known) for number, values in read]

    def _values(self, cells: list[str]) -> dict[str, Any]:
        """The named cells of a row, the number in its one form."""
        values: dict[str, Any] = {}
        for name, cell in zip(self.columns, cells, strict=False):
            if name and cell:
                values[name] = " ".join("".join(c for c in cell if c.isprintable() or c.isspace() or c in _JOINERS).split())
        full = values.pop("full_name", "")
        if full:
            first, _, last = full.partition(" ")
            values.update(first_name=first, last_name=last.strip())
        for name, longest in (("first_name", 80), ("last_name", 80), ("external_id", 80), ("user_id", 60), ("email", 254)):
            if name in values and len(values[name]) > longest:
                values[name] = values[name][:longest] if name.endswith("_name") else values[name]
        raw = values.pop("phone", "")
        if raw:
            values["raw_phone"] = raw[:80]
            values["phone"] = normalized(raw, self.region)
        return values

    def _verdict(self, number: int, values: dict[str, Any], known: Known) -> dict[str, Any]:
        problem = self._fault(values)
        if problem:
            return _verdict(number, values, "invalid", problem)
        for key in (values.get("phone"), values.get("external_id") and f"id:{values['external_id']}"):
            if key and key in self.seen:
                what = "number" if key == values.get("phone") else "Contact ID"
                return _verdict(number, values, "duplicate", f"The same {what} as row {self.seen[key]:,}.")
        for key in (values.get("phone"), values.get("external_id") and f"id:{values['external_id']}"):
            if key:
                self.seen[key] = number
        if values.get("user_id") and values["user_id"].casefold() not in self.members:
            return _verdict(number, values, "conflict", f"Nobody in this account has the User ID “{values['user_id'][:40]}”.")
        owner_id = self.members.get(values["user_id"].casefold()) if values.get("user_id") else None
        values["owner_id"], values["clear"] = owner_id, self.clear and owner_id is None
        contact, clash = known.find(values)
        if clash:
            return _verdict(number, values, "conflict", clash)
        owner = owner_change(contact, values)
        if contact is None:
            return _verdict(number, values, "create", owner=owner)
        return _verdict(number, values, "update" if owner or differs(contact, values) else "unchanged", owner=owner)

    def _fault(self, values: dict[str, Any]) -> str:
        if "raw_phone" in values and values["phone"] is None:
            return number_problem(values["raw_phone"])
        if "raw_phone" not in values and not values.get("external_id"):
            return "This row has no mobile number."
        if values.get("email") and (len(values["email"]) > 254 or not EMAIL.fullmatch(values["email"])):
            return f"“{values['email'][:60]}” is not an e-mail address."
        if len(values.get("external_id", "")) > 80:
            return "The Contact ID is longer than 80 characters."
        return ""


def _verdict(number: int, values: dict[str, Any], effect: str, problem: str = "", owner: str = "") -> dict[str, Any]:
    return {"number": number, "values": values, "effect": effect, "problem": problem[:300], "owner": owner}


@dataclass
class Known:
    """The contacts a batch of rows may mean, by number and by Contact ID."""

    by_phone: dict[str, Contact]
    by_id: dict[str, Contact]

    def find(self, values: dict[str, Any]) -> tuple[Contact | None, str]:
        """The contact a row means, and why it can't be told, if so."""
        by_phone = self.by_phone.get(values.get("phone") or "")
        by_id = self.by_id.get(values.get("external_id") or "")
        if by_phone and by_id and by_phone.id != by_id.id:
            return None, f"The number belongs to {by_phone.name}, but the Contact ID to {by_id.name}."
        if by_phone and values.get("external_id") and by_phone.external_id not in (None, values["external_id"]):
            return None, f"{by_phone.name} has this number and another Contact ID."
        if by_id and values.get("phone") and by_id.phone not in (None, values["phone"]):
            return None, f"{by_id.name} has this Contact ID and another number."
        return by_phone or by_id, ""


def known_contacts(account_id: int, values: list[dict[str, Any]]) -> Known:
    """Two queries for a whole batch."""
    numbers = {v["phone"] for v in values if v.get("phone")}
    ids = {v["external_id"] for v in values if v.get("external_id")}
    query = sa.select(Contact).where(Contact.account_id == account_id)
    by_phone = db.session.scalars(query.where(Contact.phone.in_(numbers))).all() if numbers else []
    by_id = db.session.scalars(query.where(Contact.external_id.in_(ids))).all() if ids else []
    return Known({c.phone or "": c for c in by_phone}, {c.external_id or "": c for c in by_id})


def differs(contact: Contact, values: dict[str, Any]) -> bool:
    """Whether the row says anything new; empty cells say nothing."""
    return any(values.get(name) and getattr(contact, name) != values[name] for name in ("first_name", "last_name", "phone", "email", "external_id"))


def owner_change(contact: Contact | None, values: dict[str, Any]) -> str:
    """set, cleared, or empty when the owner stays."""
    before = contact.owner_id if contact else None
    if values.get("owner_id") and values["owner_id"] != before:
        return "set"
    return "cleared" if values.get("clear") and before is not None else ""


class _Batch:
    """Applies rows in one transaction; what changed since the dry run is judged again, row by row."""

    def __init__(self, of: ContactImport, rows: list[ImportRow]) -> None:
        self.of, self.rows = of, rows
        self.events: list[dict[str, Any]] = []
        self.members = {m.id: m for m in Member.of(of.account_id)}

    def apply(self) -> None:
        values = [row.values for row in self.rows]
        known = known_contacts(self.of.account_id, values)
        fresh = [row for row in self.rows if known.find(row.values) == (None, "")]
        self._insert(fresh)
        new = {row.number for row in fresh}
        known = known_contacts(self.of.account_id, values)
        for row in self.rows:
            self._one(row, known, row.number in new)
        if self.events:
            db.session.execute(sa.insert(Event), self.events)

    def _insert(self, fresh: list[ImportRow]) -> None:
        """Make the new contacts in one statement; one that somebody else made meanwhile is met below."""
        if not fresh:
            return
        now = clock.now()
        made: list[dict[str, Any]] = [
            {
                "account_id": self.of.account_id, "public_id": public_id(), "phone": row.values.get("phone"), "external_id": row.values.get("external_id"),
                "first_name": "", "last_name": "", "name": "", "fields": {}, "created_at": now,
            }
            for row in fresh
        ]
        db.session.execute(insert_or_ignore()(Contact).values(made).on_conflict_do_nothing())

    def _one(self, row: ImportRow, known: Known, new: bool) -> None:
        contact, clash = known.find(row.values)
        owner_id = row.values.get("owner_id")
        if contact is None or (owner_id and owner_id not in self.members):
            row.effect, row.owner, row.applied = "conflict", "", True
            row.problem = clash or "Somebody changed this contact or its owner during the import."
            return
        new = new and contact.name == ""
        row.effect = "create" if new else "update" if differs(contact, row.values) or owner_change(contact, row.values) else "unchanged"
        row.owner = owner_change(contact, row.values)
        self._write(contact, row.values)
        if row.owner:
            contact.owner_id = owner_id
            self._note_owner(contact, owner_id)
        row.applied = True

    def _write(self, contact: Contact, values: dict[str, Any]) -> None:
        for name in ("phone", "email", "external_id"):
            if values.get(name):
                setattr(contact, name, values[name])
        contact.rename(values.get("first_name") or contact.first_name, values.get("last_name") or contact.last_name)

    def _note_owner(self, contact: Contact, owner_id: int | None) -> None:
        self.events.append(
            {
                "account_id": self.of.account_id, "actor_id": self.of.member_id, "kind": "contact.owner_set" if owner_id else "contact.owner_cleared",
                "data": {"contact": contact.id, "owner": self.members[owner_id].name if owner_id else None, "source": "import"}, "at": clock.now(),
            }
        )
