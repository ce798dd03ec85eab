"""What the columns of a file hold: by their titles in many languages, or by their values. Pure functions."""

from __future__ import annotations

import hashlib
import unicodedata

from inbox.models.base import one_line
from inbox.models.importing.cells import EMAIL, normalized

FIELDS = {
    "first_name": "First name", "last_name": "Last name", "phone": "Mobile", "email": "E-mail", "external_id": "Contact ID", "user_id": "UserID",
    "opt_in": "Opt-in", "opt_in_at": "Opt-in date", "opt_in_how": "Opt-in source",
}
FIELD = "field"  # a custom field, named like its column
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
    "opt_in": "optin smsoptin textoptin consent smsconsent optedin optinstatus subscribed einwilligung zustimmung smseinwilligung consentement consentimiento consenso "
    "consentimento toestemming samtykke samtycke zgoda согласие 同意 同意する הסכמה موافقة",
    "opt_in_at": "optindate optinat consentdate consentedat dateofconsent optedinat optintime einwilligungsdatum dateconsentement fechaconsentimiento dataconsenso",
    "opt_in_how": "optinsource consentsource optinmethod consentmethod optinhow optinvia einwilligungsquelle",
    "user_id": "userid owner ownerid ownerуserid assignedto agentid memberid",
}


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


def field_names(header: list[str], width: int, with_header: bool) -> list[str]:
    """What a custom field of each column is called; a title met before gets a number."""
    names: list[str] = []
    for place in range(width):
        name = one_line(header[place])[:40] if with_header and place < len(header) else ""
        name = name or f"Column {place + 1}"
        names.append(name if name not in names else f"{name[:36]} {place + 1}")
    return names


def header_key(header: list[str]) -> str:
    """A short name of a set of titles, the same for every file that has them in that order."""
    return hashlib.sha256("\n".join(title(cell) for cell in header).encode()).hexdigest()
