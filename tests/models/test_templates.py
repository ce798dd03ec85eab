"""TOOL-1 at the model: placeholders that never reach a customer, who sees which template, history, use, and two who save at once."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inbox import clock, placeholders
from inbox.models import ContactField, Conversation, Denied, Member, Refused, SendRefused, Template, db, transaction
from inbox.models.event import Event
from inbox.models.filling import Setting, language_of, suggestion
from inbox.models.template import TemplateChanged, TemplateVersion
from inbox.models.wording import Wording
from tests.models.helpers import HOSTILE, anew, failures

BRACES = re.compile(r"\{\{\s*(?:contact\.\w+|agent\.(?:first_)?name|inbox\.name|today|ask\s*:\s*[^\s{}|][^{}|]*)\s*(?:\|[^{}]*)?\}\}", re.IGNORECASE)
PIECES = st.lists(
    st.sampled_from(
        ["{", "}", "{{", "}}", "|", " ", "ask:", "ask: day", "today", "contact.", "contact.name", "contact.first_name", "agent.name", "inbox.name", "name", "pet", "\n", "{{contact.name}}", "{{today}}", "{{ask: x | y}}"]
    ),
    max_size=14,
).map("".join)


def saying(body="Hello", shortcut="hello", name="Hello", folder="", **variants):
    return Wording(name, shortcut, body, folder, variants)


def made(world, body="Hello", shortcut="hello", *, by=None, shared=True, inboxes=None, **more):
    with transaction():
        return Template.create(saying(body, shortcut, **more), by=by or world.dana, shared=shared, inboxes=inboxes)


# -- placeholders -------------------------------------------------------------------------------------------------


@given(PIECES, PIECES, PIECES)
@settings(max_examples=400, deadline=None)
def test_TOOL_1_no_filled_text_ever_holds_a_known_placeholder(body, value, other):
    values = iter([value, other] * 40)
    text = placeholders.fill(body, lambda place: next(values))
    assert not BRACES.search(text), text
    assert not placeholders.left_over(text)


@pytest.mark.parametrize("name", HOSTILE[:40] + ["{{contact.name}}", "{contact.name}", "{{{{contact.name}}}}", "}}{{", "{{ask: {{today}}}}"])
def test_TOOL_1_a_hostile_value_is_text_and_nothing_else(name):
    text = placeholders.fill("Hi {{contact.name}}, {{{today}}}.", lambda place: name)
    assert not placeholders.left_over(text) and text.startswith("Hi ")
    if "{" not in name and "}" not in name:
        assert text == f"Hi {name}, {{{name}}}."


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ("Hi {{contact.first_name}}!", "Hi Rosa!"), ("Hi {{ Contact.First_Name|there }}!", "Hi Rosa!"), ("Hi {{contact.last_name | friend}}!", "Hi friend!"), ("{{contact.last_name|}}.", "."),
        ("{{agent.first_name}} of {{inbox.name}}", "Rosa of Rosa"), ("{single} {not: a place}", "{single} {not: a place}"), ("On {{ask: which day | Monday}}", "On Monday"),
    ],
)
def test_TOOL_1_values_and_fallbacks_stand_where_placeholders_were(body, text):
    assert placeholders.fill(body, lambda place: "" if "last" in place.name or place.asks else "Rosa") == text


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("{{contact.frist_name}}", "Did you mean {{contact.first_name}}?"), ("{{contact.pett}}", "Did you mean {{contact.pet}}?"), ("{{firstname}}", "Did you mean"),
        ("{{zzzzzz}}", "is not known. There are"), ("{{}}", "is not known"), ("{{ask:}}", "Say what to ask for"), ("{{contact.name}", "begins with"), ("{{contact.{{today}}}}", "begins with"),
        ("}} late", "begins with"),
    ],
)
def test_TOOL_1_an_unknown_placeholder_is_refused_and_the_nearest_named(body, says):
    with pytest.raises(placeholders.Unknown, match=re.escape(says)):
        placeholders.check(body, {"pet"})


def test_TOOL_1_known_placeholders_may_be_saved_those_of_contacts_own_fields_too(world):
    with transaction():
        world.conversation().contact.fields = {"Pet’s name": "Milo"}
        ContactField.learn(world.harbor.id, ["Pet’s name"])
    assert made(world, "{{contact.pet_s_name | your pet}}, {{ask: which day}} {{today}}").body.endswith("{{today}}")
    with pytest.raises(Refused) as refused, transaction():
        Template.create(saying("{{contact.pets_name}}", "pets"), by=world.dana)
    assert refused.value.field == "body" and "{{contact.pet_s_name}}" in str(refused.value)


UNSAVABLE = [
    ({"name": " "}, "name"), ({"name": "x" * 81}, "name"), ({"shortcut": ""}, "shortcut"), ({"shortcut": "two words"}, "shortcut"), ({"shortcut": "-a"}, "shortcut"),
    ({"shortcut": "ä"}, "shortcut"), ({"shortcut": "a" * 41}, "shortcut"), ({"body": "\x00 \n"}, "body"), ({"body": "x" * 1601}, "body"), ({"folder": "x" * 61}, "folder"),
    ({"es": "{{nope_nope}}"}, "body_es"), ({"xx": "Hello"}, "new_language"),
]


def test_TOOL_1_what_cannot_be_saved_names_its_field(world):
    for change, field in UNSAVABLE:
        with pytest.raises(Refused) as refused, transaction():
            Template.create(saying(**change), by=world.maya)
        assert refused.value.field == field, change
    anew()
    assert db.session.query(Template).count() == 0


def test_TOOL_1_hostile_bodies_are_kept_and_inserted_as_text(world):
    setting, kept = Setting.of(world.conversation(), world.maya), 0
    for n, text in enumerate(HOSTILE[:120]):
        try:
            template = made(world, text[:1500], f"h{n}", name="N")
        except Refused as refused:
            assert refused.field == "body", text
            continue
        kept += 1
        assert setting.fill(template).text == template.body
    assert kept > 80


# -- who and where ------------------------------------------------------------------------------------------------


def test_TOOL_1_team_templates_need_the_permission_ones_own_need_none(world):
    with pytest.raises(Denied), transaction():
        Template.create(saying(), by=world.maya, shared=True)
    mine = made(world, by=world.maya, shared=False)
    team = made(world, by=world.sven)
    assert (mine.shared, team.shared) == (False, True)
    for act in (lambda: team.change(saying("x"), by=world.maya, version=team.version), lambda: team.archive(by=world.maya), lambda: team.restore(1, by=world.maya)):
        with pytest.raises(Denied), transaction():
            act()
    with pytest.raises(Refused, match="somebody else"), transaction():
        mine.change(saying("x"), by=world.dana, version=mine.version)
    with pytest.raises(Denied), transaction():
        mine.change(saying("x"), by=world.maya, version=mine.version, shared=True)
    with transaction():
        team.change(saying("Ours"), by=world.dana, version=team.version)
    assert team.body == "Ours"


def test_TOOL_1_a_member_sees_the_teams_and_their_own_and_what_is_for_an_inbox_only_there(world):
    made(world, shortcut="all")
    made(world, shortcut="pharmacy", inboxes=[world.pharmacy])
    made(world, shortcut="front", inboxes=[world.front])
    made(world, shortcut="mine", by=world.maya, shared=False)
    made(world, shortcut="north", by=world.nina)
    seen = lambda who: sorted(t.shortcut for t in Template.listing(who))  # noqa: E731
    assert seen(world.maya) == ["all", "front", "mine"] and seen(world.dana) == ["all", "front", "pharmacy"] and seen(world.nina) == ["north"]
    assert seen(world.olga) == ["all"]
    c = world.conversation()
    assert {t.shortcut for t in Setting.of(c, world.maya).offered()} == {"all", "front", "mine"}
    assert {t.shortcut for t in Setting.of(c, world.dana).offered()} == {"all", "front"}
    with pytest.raises(Refused), transaction():
        Template.create(saying(shortcut="far"), by=world.dana, inboxes=[world.reception])


def test_TOOL_1_a_shortcut_is_one_per_owner_and_one_per_team(world):
    first = made(world)
    made(world, by=world.maya, shared=False)
    made(world, by=world.theo, shared=False)
    made(world, by=world.nina)
    for who, shared in ((world.dana, True), (world.maya, False)):
        with pytest.raises(Refused) as refused, transaction():
            Template.create(saying(shortcut="/HELLO"), by=who, shared=shared)
        assert refused.value.field == "shortcut"
    with transaction():
        first.archive(by=world.dana)
    made(world)
    with pytest.raises(Refused, match="/hello"), transaction():
        first.unarchive(by=world.dana)


def test_TOOL_1_two_who_take_one_shortcut_or_save_one_template_at_once_are_told(world, together):
    dana = world.dana.id

    def take(i):
        with transaction():
            return Template.create(saying(f"Text {i}"), by=db.session.get_one(Member, dana), shared=True).id

    results = together(take, 4, world.app)
    lost = failures(results)
    assert len(lost) == 3 and all(isinstance(e, Refused) and e.field == "shortcut" for e in lost)
    anew()
    template = db.session.query(Template).one()
    id, version = template.id, template.version

    def save(i):
        with transaction():
            db.session.get_one(Template, id).change(saying(f"Mine {i}"), by=db.session.get_one(Member, dana), version=version)

    lost = failures(together(save, 4, world.app))
    assert len(lost) == 3 and all(isinstance(e, TemplateChanged) for e in lost)
    anew()
    assert db.session.query(TemplateVersion).filter_by(template_id=id).count() == 2


def test_TOOL_1_the_history_says_who_and_when_and_any_version_comes_back(world):
    template = made(world, "First", es="Primero")
    with transaction():
        template.change(saying("Second"), by=world.sven, version=template.version)
    with transaction():
        template.change(saying("Second", folder="Clinic"), by=world.dana, version=template.version)  # says the same
    history = [(v.number, v.by.name, v.body, v.variants) for v in template.history()]
    assert history == [(2, "Sven Super", "Second", {}), (1, "Dana Whitfield", "First", {"es": "Primero"})]
    with transaction():
        template.restore(1, by=world.dana)
    assert (template.body, template.variants, template.folder) == ("First", {"es": "Primero"}, "Clinic") and len(template.history()) == 3
    with pytest.raises(Refused), transaction():
        template.restore(99, by=world.dana)
    kinds = [kind for (kind,) in db.session.query(Event.kind).filter(Event.kind.like("template.%")).order_by(Event.id)]
    assert kinds == ["template.created", *["template.changed"] * 3]
    made(world, by=world.maya, shared=False)
    assert db.session.query(Event).filter(Event.kind.like("template.%")).count() == 4, "one's own are nobody's business"


# -- filling ------------------------------------------------------------------------------------------------------


def test_TOOL_1_values_come_from_this_conversation_and_what_is_missing_is_named(world):
    c = world.conversation()
    template = made(world, "Hi {{contact.first_name}} ({{contact.name}}), {{agent.first_name}} of {{inbox.name}}. {{ask: Which day}}? {{contact.first_name | dear}}")
    setting = Setting.of(c, world.maya)
    filled = setting.fill(template)
    assert [p.name for p in filled.missing] == ["contact.first_name", "contact.name", "ask:Which day"] and "Maya of Front Desk" in filled.text
    with pytest.raises(Refused, match="missing"), transaction():
        setting.insert(template, {"contact.first_name": "Rosa"})
    world.named(c, "{{ask: x}}", "Delgado")
    with transaction():
        text = setting.insert(template, {"ask:Which day": "Monday\n{{today}}"})
    assert "{{" not in text and "Monday {today}" in text and text.startswith("Hi {ask: x} ({ask: x} Delgado), Maya of Front Desk.")


def test_TOOL_1_a_contacts_own_fields_stay_closed_to_who_may_not_see_contacts(world):
    c = world.conversation()
    with transaction():
        c.contact.fields = {"Pet": "Milo"}
        ContactField.learn(world.harbor.id, ["Pet"])
    template = made(world, "{{contact.pet | your pet}}")
    assert Setting.of(c, world.maya).fill(template).text == "Milo"
    assert Setting.of(c, world.vera).fill(template).text == ("Milo" if world.vera.can(_contacts()) else "your pet")
    assert Setting(world.front, None, world.maya).fill(template).text == "your pet"


def _contacts():
    from inbox.permissions import Permission

    return Permission.CONTACTS_VIEW


def test_TOOL_1_the_language_of_the_contact_picks_the_text(world):
    c, template = world.conversation(), made(world, "Hello", es="Hola", de="Hallo")
    for said, code in [("es", "es"), ("es-MX", "es"), ("Spanish", "es"), ("Español", "es"), ("DE_at", "de"), ("Klingon", ""), ("", "")]:
        with transaction():
            c.contact.fields = {"Preferred language": said}
        assert language_of(c.contact) == code, said
        filled = Setting.of(c, world.maya).fill(template)
        assert (filled.text, filled.language) == ({"es": "Hola", "de": "Hallo"}.get(code, "Hello"), code)


def test_TOOL_1_use_is_counted_for_thirty_days_and_brings_a_template_to_the_front(world):
    c = world.conversation()
    a, b = made(world, shortcut="aa", name="Aa"), made(world, shortcut="bb", name="Bb")
    setting = Setting.of(c, world.maya)
    assert [t.shortcut for t in setting.offered()] == ["aa", "bb"]
    for _ in range(3):
        with transaction():
            setting.insert(b, {})
    with transaction():
        Setting.of(c, world.theo).insert(b, {})
    assert [t.shortcut for t in setting.offered()] == ["bb", "aa"] and Template.used([a.id, b.id]) == {b.id: 4}
    clock.shift(timedelta(days=31).total_seconds())
    assert Template.used([a.id, b.id]) == {}


def test_TOOL_1_uses_at_the_same_moment_are_all_counted(world, together):
    c, template = world.conversation(), made(world)
    ids = (c.id, world.maya.id, template.id)

    def use(_):
        with transaction():
            db.session.get_one(Template, ids[2]).insert(by=db.session.get_one(Member, ids[1]))

    assert not failures(together(use, 6, world.app))
    anew()
    assert Template.used([ids[2]]) == {ids[2]: 6}


def test_TOOL_1_typing_finds_by_shortcut_name_and_words_in_any_script(world):
    for shortcut, name, body in (("hours", "Opening hours", "Open 9 to 5"), ("late", "We are late", "Sorry, opening later"), ("gruss", "GRÜSSE", "Schöne Grüße"), ("pct", "Discount", "100% off_now")):
        made(world, body, shortcut, name=name)
    setting = Setting.of(world.conversation(), world.maya)
    found = lambda words: [t.shortcut for t in setting.offered(words)]  # noqa: E731
    assert found("open") == ["hours", "late"]
    assert found("hou") == ["hours"] and found("grüss") == ["gruss"] and found("0% off_") == ["pct"] and found("%") == ["pct"] and found("opening late") == ["late"] and found("nothing") == []


def test_TOOL_1_the_list_pages_by_folder_and_name(world):
    for n in range(7):
        made(world, shortcut=f"s{n}", name=f"N{n % 3}", folder=["", "B", "A"][n % 3])
    first = Template.listing(world.dana, limit=4)
    rest = Template.listing(world.dana, limit=4, after=first[-1])
    assert [(t.folder, t.name) for t in first + rest] == sorted((t.folder, t.name) for t in first + rest) and len({t.id for t in first + rest}) == 7
    assert Template.folders(world.dana) == ["A", "B"] and len(Template.listing(world.dana, folder="A")) == 2


def test_TOOL_1_a_template_is_suggested_only_when_it_is_clearly_about_the_same(world):
    made(world, "We are open Monday to Friday, 9 to 5. Closed on Sundays.", "hours", name="Opening hours")
    made(world, "Please pay at the counter.", "pay", name="Paying")
    for text, found in [("What are your opening hours on Sunday?", "hours"), ("do you open on sundays", "hours"), ("Thanks!", None), ("My dog ate chocolate", None), (" ", None)]:
        suggested = suggestion(world.conversation(text), world.maya)
        assert (suggested.shortcut if suggested else None) == found, text


# -- the way out ----------------------------------------------------------------------------------------------------


def test_TOOL_1_a_reply_with_an_unfilled_placeholder_never_leaves(world):
    c = world.conversation()
    with transaction():
        fence = c.acquire(by=world.maya).fence
    for body in ("Hi {{contact.first_name}}", "{{ today }}", "See you {{ask: when | soon}}", "{{contact.pet}}"):
        with pytest.raises(SendRefused, match="is not filled in") as refused, transaction():
            c.reply(body, by=world.maya, fence=fence, seen=c.last_inbound_id)
        assert refused.value.field == "body"
        with pytest.raises(SendRefused), transaction():
            Conversation.compose(world.front, "+14155550188", body, by=world.maya)
    with transaction():
        c.reply("{{ handlebars }} and {braces}", by=world.maya, fence=fence, seen=c.last_inbound_id)
