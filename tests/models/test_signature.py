"""ACC-5, FIELD want 5, S16: signatures come from the one who sends, at the moment of sending, and are never run."""

from __future__ import annotations

import pytest

from inbox import signature
from inbox.models import Denied, Event, Member, SendRefused, db, transaction
from inbox.models.profile import ending
from inbox.placeholders import left_over
from tests.models.helpers import anew

SSTI = ["{{config}}", "{{7*7}}", "${7*7}", "#{7*7}", "<%= 7*7 %>", "{{contact.__class__}}", "{% for x in ().__class__.__base__.__subclasses__() %}{% endfor %}", "{{contact.name}}", "%(name)s", "{name}", "{0.__class__}", "*{7*7}"]


def signs(world, **signatures):
    with transaction():
        world.front.sign_texts = True
        for name, text in signatures.items():
            getattr(world, name).text_signature = text


def holding(c, who):
    """The fence of the lock `who` takes."""
    with transaction():
        return c.acquire(by=who).fence


def send(c, who, body="Sure"):
    fence = holding(c, who)
    with transaction():
        message = c.reply(body, by=who, fence=fence, seen=c.last_inbound_id)
        c.release(by=who, fence=fence)
    return message


def test_ACC_5_texts_end_with_the_senders_own_words(world):
    signs(world, maya="Dr. Chen")
    c = world.conversation()
    assert send(c, world.maya).body == "Sure - Dr. Chen"
    assert send(c, world.theo).body == "Sure - Theo"  # no words of his own: his first name, never hers


def test_ACC_5_an_inbox_that_does_not_sign_sends_texts_as_written(world):
    signs(world, maya="Dr. Chen")
    with transaction():
        world.front.sign_texts = False
    assert send(world.conversation(), world.maya).body == "Sure"


def test_the_signature_is_the_one_at_sending_not_at_drafting(world):
    signs(world, maya="Old", theo="Theo O.")
    c = world.conversation()
    from inbox.models import Draft

    with transaction():
        Draft.put(c, "I will look", by=world.maya)
    assert Draft.of(c, world.maya).body == "I will look"  # a draft never holds a signature, so a colleague's cannot come along
    signs(world, maya="New")
    assert send(c, world.maya, "I will look").body == "I will look - New"
    assert send(c, world.theo, "I will look").body == "I will look - Theo O."


def test_MSG_1_a_long_signature_counts_into_the_length(world):
    signs(world, maya="x" * 60)
    c = world.conversation()
    fence = holding(c, world.maya)
    with pytest.raises(SendRefused), transaction():
        c.reply("y" * 1538, by=world.maya, fence=fence, seen=c.last_inbound_id)
    with transaction():
        assert len(c.reply("y" * 1537, by=world.maya, fence=fence, seen=c.last_inbound_id).body) == 1600


@pytest.mark.one_database
def test_notes_and_automatic_answers_carry_no_signature(world):
    signs(world, maya="Dr. Chen")
    c = world.conversation()
    with transaction():
        assert c.note("Look here", by=world.maya).body == "Look here"
        assert c.answer_automatically("You are opted out.").body == "You are opted out."


@pytest.mark.one_database
@pytest.mark.parametrize("text", SSTI)
def test_S16_a_template_in_a_signature_stays_as_it_is(world, text):
    signs(world, maya=ending(text))
    if left_over(text):  # TOOL-1: what looks like a placeholder leaves by no path
        with pytest.raises(SendRefused, match="is not filled in"):
            send(world.conversation(), world.maya)
    else:
        assert send(world.conversation(), world.maya).body == f"Sure - {text}"
    assert signature.text(text) == (text if not text.startswith("<%") else signature.text(text))
    assert "49" not in signature.html(text)


@pytest.mark.parametrize(
    ("source", "html"),
    [
        ("Maya Chen\nHarbor Vet", "Maya Chen<br>Harbor Vet"), ("a\r\n\r\nb", "a<br><br>b"), ("<b>Maya</b> & Co <3", "<b>Maya</b> &amp; Co &lt;3"), ("a<br>\nb<br/>c", "a<br>b<br>c"),
        ('<a href="https://harbor.example">us</a>', '<a href="https://harbor.example" rel="noopener noreferrer nofollow">us</a>'),
        ('<a href="tel:+14155550100" title=x onclick=y>call</a>', '<a href="tel:+14155550100" rel="noopener noreferrer nofollow">call</a>'),
        ('<a href="javascript:alert(1)">x</a>', '<a rel="noopener noreferrer nofollow">x</a>'), ('<a href="//evil.example">x</a>', '<a rel="noopener noreferrer nofollow">x</a>'),
        ("<p>a</p><div>b</div>", "ab"), ("<b>open", "<b>open</b>"), ("</b></div>x", "x"), ("<!-- x -->y", "y"), ("<script>alert(1)</script>z", "z"), ("<style>*{}</style>z", "z"),
        ('<img src="https://track.example/p.gif">z', "z"), ("<svg><style><a title='</style><img src=x onerror=alert(1)>'>", ""), ("", ""), (" \n ", ""),
    ],
)
def test_S12_only_six_tags_and_safe_links_leave(source, html):
    assert signature.html(source) == html
    assert signature.html(html) == html  # cleaning what is clean changes nothing


def test_the_plain_part_has_no_tags():
    assert signature.text("<b>Maya</b> &amp; Co\n<a href='https://x.example'>us</a> <3") == "Maya & Co\nus <3"


def test_ACC_5_nobody_changes_anothers_profile(world):
    for change in (lambda: world.maya.edit_profile({"name": "Owned"}, by=world.dana), lambda: world.maya.set_picture("a" * 64, "b" * 64, by=world.dana)):
        with pytest.raises(Denied), transaction():
            change()
    with transaction():
        world.maya.set_picture("a" * 64, "b" * 64, by=world.maya)
    with pytest.raises(Denied), transaction():
        world.maya.drop_picture(by=world.ada)
    anew()
    assert world.maya.name == "Maya Chen" and world.maya.picture_sha256 == "a" * 64


@pytest.mark.one_database
def test_ACC_5_lists_of_colleagues_hold_no_signature(world):
    for who in Member.of(world.harbor.id):
        assert not {"text_signature", "email_signature", "picture_sha256", "picture_small_sha256"} & set(sa_loaded(who))


def sa_loaded(who):
    import sqlalchemy as sa

    db.session.expire(who)
    who.name  # noqa: B018 - loads the row as a list would
    return sa.inspect(who).dict


def test_saving_nothing_new_records_nothing(world):
    with transaction():
        assert world.maya.edit_profile({"name": "Maya Chen", "language": "en-US"}, by=world.maya) == []
        assert world.maya.edit_profile({"name": "Maya C.", "language": "de"}, by=world.maya) == ["language", "name"]
    events = db.session.query(Event).filter_by(kind="member.profile_changed").all()
    assert [e.data for e in events] == [{"member": world.maya.id, "fields": ["language", "name"]}]
