"""S47 and ACC-7: single sign-on believes only a signed answer of the configured provider, for a verified address of a member or an invited person."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
import sqlalchemy as sa

from inbox import oidc
from inbox.models import IdentityProvider, Invitation, LoginSession, MailedLink, Member, Refused, db, transaction
from inbox.models.identity_provider import password_allowed
from inbox.views.provider_sign_in import UNKNOWN
from tests.security.provider import Provider
from tests.world import PASSWORD

BACK = "http://localhost/sign-in/sso/return/"


@pytest.fixture(scope="module")
def provider():
    provider = Provider()
    yield provider
    provider.stop()


@pytest.fixture
def registered(provider, world):
    return provider.register(BACK + world.harbor.public_id)


@pytest.fixture
def sso(app, world, provider, registered, monkeypatch):
    """Single sign-on of Harbor Vet, set up by its owner."""
    monkeypatch.setitem(app.config, "TRUSTED_ISSUERS", [provider.issuer])
    provider.person("theo", email="theo@harbor.example", email_verified=True, name="Theo Okafor")
    with transaction():
        return put(world, provider, registered)


def put(world, provider, registered, **changes):
    settings = {"issuer": provider.issuer, "client_id": registered[0], "secret": registered[1], "domains": ["harbor.example"], "enabled": True, "exclusive": False, "by": world.dana}
    return IdentityProvider.put(world.harbor, **{**settings, **changes})


def leave(client, **query):
    answer = client.get("/sign-in/sso/start", query_string=query)
    assert answer.status_code == 303, answer.text
    return answer.location


def come_back(client, provider, sub, **changes):
    """The whole flow; returns the answer to the browser that came back."""
    return client.get(provider.visit(leave(client), sub, **changes))


def signed_in(client):
    return client.get("/settings/security").status_code == 200


def said(client):
    return client.get("/sign-in").text


def test_ACC_7_a_member_signs_in_with_the_company_account(sso, client, provider, world):
    assert "Sign in with single sign-on" in client.get("/sign-in").text and provider.issuer.removeprefix("http://") in client.get("/sign-in/sso").text
    target = leave(client, next="/settings/profile")
    asked = parse_qs(urlsplit(target).query)
    assert asked["code_challenge_method"] == ["S256"] and len(asked["state"][0]) >= 43 and asked["nonce"] and asked["redirect_uri"] == [BACK + world.harbor.public_id]
    before = client.get_cookie("session").value
    answer = client.get(provider.visit(target, "theo"))
    assert answer.status_code == 303 and answer.location == "/settings/profile" and client.get_cookie("session").value != before
    assert "theo@harbor.example" in client.get("/settings/security").text


def test_the_address_chooses_the_provider_when_there_are_several(sso, client, provider, world, registered):
    with transaction():
        IdentityProvider.put(world.north, issuer="https://login.north.example", client_id="n", secret="s", domains=["north.example"], enabled=True, exclusive=False, by=world.nina)
    assert "Work e-mail" in client.get("/sign-in/sso").text
    assert "login.north.example" in client.get("/sign-in/sso?email=nina@north.example").text
    assert provider.issuer.removeprefix("http://") in client.get("/sign-in/sso?email=Theo@HARBOR.example").text
    nowhere = client.get("/sign-in/sso?email=x@gmail.example")
    assert nowhere.status_code == 422 and "No single sign-on is set up for that address." in nowhere.text
    assert client.get("/sign-in/sso/start?email=x@gmail.example").status_code == 404


@pytest.mark.parametrize(
    ("claims", "sentence"),
    [
        ({"email": "theo@harbor.example", "email_verified": False}, "has not verified"),
        ({"email": "theo@harbor.example"}, "has not verified"),
        ({"email": "theo@evil.example", "email_verified": True}, "of that domain"),
        ({"email": "theo@sub.harbor.example", "email_verified": True}, "of that domain"),
        ({"email": "stranger@harbor.example", "email_verified": True}, UNKNOWN),
        ({"email": "", "email_verified": True}, "does not tell your e-mail"),
        ({"email_verified": True}, "does not tell your e-mail"),
    ],
)
def test_S47_other_answers_sign_nobody_in(sso, client, provider, world, claims, sentence):
    provider.person("odd", **claims)
    assert come_back(client, provider, "odd").location == "/sign-in"
    assert sentence in said(client) and not signed_in(client)
    assert db.session.scalar(sa.select(sa.func.count(Member.id))) == len(world.people)


def test_S47_a_wrong_nonce_or_state_or_code_signs_nobody_in(sso, client, provider, world):
    here = f"/sign-in/sso/return/{world.harbor.public_id}"
    assert come_back(client, provider, "theo", nonce="planted").location == "/sign-in"
    assert "belongs to another sign-in" in said(client) and not signed_in(client)
    assert come_back(client, provider, "theo", state="planted").location == "/sign-in"
    assert "not begun in this browser" in said(client) and not signed_in(client)
    state = parse_qs(urlsplit(leave(client)).query)["state"][0]
    client.get(here, query_string={"state": state, "code": "invented"})
    assert "did not accept the sign-in" in said(client) and not signed_in(client)
    state = parse_qs(urlsplit(leave(client)).query)["state"][0]
    client.get(here, query_string={"state": state, "error": "access_denied"})
    assert "did not sign you in" in said(client) and not signed_in(client)


def test_S47_an_answer_works_once_and_only_in_the_browser_that_asked(app, sso, client, provider):
    back = provider.visit(leave(client), "theo")
    stranger = app.test_client()
    stranger.get(back)
    assert not signed_in(stranger), "login CSRF: somebody else's answer"
    client.get(back)
    assert signed_in(client)
    client.send("/sign-out")
    client.get(back)
    assert not signed_in(client), "the state was used"
    for path in ("/sign-in/sso/return", "/sign-in/sso/return/x", "/sign-in/sso/return/x?state=&code=x", "/sign-in/sso/return/x?state=x&code=%00"):
        assert client.get(path).status_code in (303, 404) and not signed_in(client)


def test_S47_an_answer_at_another_accounts_address_signs_nobody_in(sso, client, provider, world):
    answer = provider.visit(leave(client), "theo")
    assert client.get(answer.replace(world.harbor.public_id, world.north.public_id)).location == "/sign-in" and not signed_in(client)


def test_S47_another_sites_link_begins_nothing(sso, client):
    answer = client.get("/sign-in/sso/start?email=theo@harbor.example", headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 303 and answer.location == "/sign-in/sso?email=theo@harbor.example"


def test_S47_a_person_is_who_they_were_at_first(app, sso, client, provider, world):
    assert come_back(client, provider, "theo").status_code == 303 and signed_in(client)
    provider.person("newcomer", email="theo@harbor.example", email_verified=True, name="Another Theo")
    other = app.test_client()
    assert come_back(other, provider, "newcomer").location == "/sign-in" and not signed_in(other), "the address was given to somebody else"
    assert "Somebody else signed in with this address before" in said(other)
    provider.person("theo", email="t.okafor@harbor.example", email_verified=True, name="Theo Okafor")
    renamed = app.test_client()
    assert come_back(renamed, provider, "theo").status_code == 303 and signed_in(renamed), "the same person with a new address"


def test_only_single_sign_on_shuts_out_nobody_whom_it_refuses(app, sso, client, provider, world, registered):
    with transaction():
        put(world, provider, registered, exclusive=True, by=world.ada)
    for who, allowed in ((world.theo, False), (world.sven, True), (world.dana, True)):  # Sven sees every inbox, which Ada may not
        assert password_allowed(who) is allowed, who.name
    with pytest.raises(Refused) as refused, transaction():
        MailedLink.ask_address(world.theo, "theo@gmail.example")
    assert "single sign-on" in refused.value.sentence


def test_S47_headers_of_proxies_sign_nobody_in(sso, client):
    for name in ("X-Remote-User", "X-Forwarded-User", "Remote-User", "X-Forwarded-Email", "X-Auth-Request-Email", "Authorization"):
        assert client.get("/settings/security", headers={name: "theo@harbor.example"}).status_code == 303


def test_an_invited_person_joins_by_it_and_an_ended_member_does_not_come_back(sso, client, provider, world):
    with transaction():
        Invitation.send(world.harbor, "zoe@harbor.example", by=world.dana, role="agent")
        Invitation.send(world.north, "yan@harbor.example", by=world.nina, role="agent")
    provider.person("zoe", email="Zoe@harbor.example", email_verified=True, name="Zoe Zed")
    assert come_back(client, provider, "zoe").location == "/"
    zoe = db.session.scalars(sa.select(Member).where(Member.email == "zoe@harbor.example")).one()
    assert zoe.name == "Zoe Zed" and zoe.roles == ["agent"] and Invitation.pending(world.harbor) == []
    client.send("/sign-out")
    with transaction():
        from inbox import clock

        zoe.deactivated_at = clock.now()
    come_back(client, provider, "zoe")
    assert UNKNOWN in said(client) and not signed_in(client)
    provider.person("yan", email="yan@harbor.example", email_verified=True)
    come_back(client, provider, "yan")
    assert not signed_in(client), "an invitation of another account is not ours to accept"


def test_nobody_gets_more_rights_by_it_than_whoever_set_it_up(sso, client, provider, world, registered):
    provider.person("dana", email="dana@harbor.example", email_verified=True)
    come_back(client, provider, "dana")
    assert signed_in(client), "the owner set it up"
    client.send("/sign-out")
    with transaction():
        put(world, provider, registered, by=world.ada)
    come_back(client, provider, "dana")
    assert not signed_in(client) and "Your role allows more" in said(client)


def test_only_single_sign_on_leaves_the_owner_a_way_in(app, sso, client, provider, world, registered):
    with transaction():
        put(world, provider, registered, exclusive=True)
    answer = client.send("/sign-in", email="theo@harbor.example", password=PASSWORD)
    assert answer.status_code == 422 and "signs in with single sign-on" in answer.text and not signed_in(client)
    wrong = client.send("/sign-in", email="theo@harbor.example", password="wrong wrong wrong")
    assert "single sign-on. Use" not in wrong.text, "strangers learn nothing"
    come_back(client, provider, "theo")
    assert signed_in(client)
    owner = app.test_client()
    assert owner.send("/sign-in", email="dana@harbor.example", password=PASSWORD).status_code == 303 and signed_in(owner)


def test_the_second_factor_is_asked_after_it_too(sso, client, provider, world):
    from tests.security.factors import set_up_app

    set_up_app(world.theo)
    assert come_back(client, provider, "theo").location == "/sign-in/code" and not signed_in(client)


def test_confirming_who_one_is_at_the_provider(sso, client, provider, world):
    client.sign_in(world.theo)
    with transaction():
        db.session.execute(sa.update(LoginSession).values(confirmed_at=None))
    provider.person("maya", email="maya@harbor.example", email_verified=True)
    answer = client.send("/settings/security/password", password="another quiet river")
    assert answer.status_code == 403 and "Confirm with single sign-on" in answer.text
    target = client.get("/sign-in/sso/confirm").location
    assert "prompt=login" in target and "max_age=0" in target
    client.get(provider.visit(target, "maya"))
    assert client.send("/settings/security/password", password="another quiet river").status_code == 403, "that was somebody else"
    assert "It is you" in client.get(provider.visit(client.get("/sign-in/sso/confirm").location, "theo")).text
    assert client.send("/settings/security/password", password="another quiet river", confirm_password="").status_code == 303


# -- the settings -------------------------------------------------------------------------------------------------


def fill(provider, registered, **changes):
    return {"issuer": provider.issuer, "client_id": registered[0], "secret": registered[1], "domains": "harbor.example\n@HARBOR.example.", "enabled": "y", **changes}


def test_the_test_names_the_wrong_field(app, world, provider, registered, monkeypatch):
    monkeypatch.setitem(app.config, "TRUSTED_ISSUERS", [provider.issuer])
    client = app.test_client().sign_in(world.dana)
    where = "/settings/single-sign-on"
    assert BACK in client.get(where).text
    answer = client.send(where, **fill(provider, registered), check="1")
    assert answer.status_code == 200 and "Nothing is saved yet" in answer.text and IdentityProvider.of(world.harbor.id) is None
    for field, value, words in (
        ("issuer", "https://login.invalid", "could not be reached"), ("issuer", "nonsense", "Enter the issuer"), ("issuer", provider.issuer + "/other", "does not answer as"),
        ("issuer", "http://169.254.169.254", "must begin with https"), ("issuer", "https://127.0.0.1", "private network"),
        ("client_id", "unknown", "does not know this client ID"), ("secret", "wrong", "does not accept this secret"), ("domains", "", "at least one domain"),
        ("domains", "harbor.example <script>", "is not a domain"),
    ):
        answer = client.send(where, **fill(provider, registered, **{field: value}))
        assert answer.status_code == 422 and words in answer.text, (field, value)
        error = answer.text.split(words)[0]
        assert f'id="{field}-err"' in error.rsplit("<p", 1)[1], f"the sentence stands at {field}"
        assert registered[1] not in answer.text, "the secret is never shown"
    assert IdentityProvider.of(world.harbor.id) is None


def test_settings_are_kept_without_showing_the_secret_again(app, world, provider, registered, monkeypatch):
    monkeypatch.setitem(app.config, "TRUSTED_ISSUERS", [provider.issuer])
    client = app.test_client().sign_in(world.ada)
    where = "/settings/single-sign-on"
    assert client.send(where, **fill(provider, registered)).status_code == 303
    row = IdentityProvider.of(world.harbor.id)
    assert row.domains == ["harbor.example"] and row.secret == registered[1] and registered[1] not in row.sealed and row.set_by_id == world.ada.id
    assert registered[1] not in client.get(where).text
    assert client.send(where, **fill(provider, registered, secret="", exclusive="y")).status_code == 303
    db.session.expire_all()
    assert IdentityProvider.of(world.harbor.id).exclusive and IdentityProvider.of(world.harbor.id).secret == registered[1]
    other = Provider()
    try:
        monkeypatch.setitem(app.config, "TRUSTED_ISSUERS", [provider.issuer, other.issuer])
        answer = client.send(where, **fill(other, registered, secret=""))
        assert answer.status_code == 422 and "Enter the client secret" in answer.text, "a stored secret is sent to no other place"
    finally:
        other.stop()
    assert app.test_client().sign_in(world.maya).get(where).status_code == 403
    assert client.send(where + "/removal").status_code == 303 and IdentityProvider.of(world.harbor.id) is None


def test_S71_a_private_issuer_is_refused_unless_the_operator_trusts_it(provider, registered):
    for issuer in (provider.issuer, "https://127.0.0.1:9", "https://10.0.0.1", "https://[::1]", "https://169.254.169.254", "http://example.com"):
        with pytest.raises(oidc.Wrong) as wrong:
            oidc.discover(oidc.Client(issuer, "x", "y", BACK))
        assert wrong.value.field == "issuer"


def test_tokens_of_other_algorithms_and_keys_are_refused(provider, registered):
    import time

    from joserfc import jwt
    from joserfc.jwk import OctKey, RSAKey

    ours = oidc.Client(provider.issuer, registered[0], registered[1], BACK, (provider.issuer,))
    place, ticket, now = oidc.discover(ours), oidc.Ticket.new(), int(time.time())
    good = {"iss": place.issuer, "aud": registered[0], "sub": "x", "nonce": ticket.nonce, "iat": now, "exp": now + 60}
    forged = [
        jwt.encode({"alg": "RS256"}, good, RSAKey.generate_key(2048)),
        jwt.encode({"alg": "HS256"}, good, OctKey.import_key(registered[1] * 2)),
        "eyJhbGciOiJub25lIn0." + jwt.encode({"alg": "HS256"}, good, OctKey.import_key("k" * 32)).split(".")[1] + ".",
        "", "nonsense", "a.b.c",
    ]
    for token in forged:
        with pytest.raises(oidc.Wrong):
            oidc._verified(place, ours, ticket, token)
