"""OpenID Connect as a client: discovery, code flow with PKCE, and the checks of the token. Every request goes through net.py's guards."""

from __future__ import annotations

import base64
import hashlib
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from inbox import net

ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]  # signatures only: never "none", never a shared secret
LEEWAY = 60  # seconds two clocks may differ
WELL_KNOWN = "/.well-known/openid-configuration"


class Wrong(Exception):
    """Single sign-on did not work; `str(error)` is a sentence, `field` the setting at fault, if it is one."""

    def __init__(self, sentence: str, field: str | None = None) -> None:
        super().__init__(sentence)
        self.field = field


@dataclass(frozen=True)
class Client:
    """What we are to a provider. `trusted` are the origins that may be private and without TLS."""

    issuer: str
    client_id: str
    secret: str = field(repr=False)
    redirect_uri: str
    trusted: Sequence[str] = ()


@dataclass(frozen=True)
class Provider:
    """What the issuer says of itself."""

    issuer: str
    authorization: str
    token: str
    keys: str
    userinfo: str
    secret_in_body: bool  # it takes the client's secret in the form only


@dataclass(frozen=True)
class Ticket:
    """The secrets of one sign-in; kept in the browser's session until it comes back."""

    state: str
    nonce: str
    verifier: str

    @staticmethod
    def new() -> Ticket:
        return Ticket(*(secrets.token_urlsafe(32) for _ in range(3)))


def discover(client: Client) -> Provider:
    """Ask the issuer where everything is; raises Wrong."""
    answer = _fetch(client, client.issuer.rstrip("/") + WELL_KNOWN, "issuer")
    if str(answer.get("issuer", "")).rstrip("/") != client.issuer.rstrip("/"):
        raise Wrong("This address answers for another issuer. Copy the issuer exactly as the provider shows it.", "issuer")
    places = {name: str(answer.get(f"{name}_endpoint", answer.get(name)) or "") for name in ("authorization", "token", "userinfo")}
    keys = str(answer.get("jwks_uri") or "")
    for place in (places["authorization"], places["token"], keys):
        _secure(client, place)
    if places["userinfo"]:
        _secure(client, places["userinfo"])
    ways = answer.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
    return Provider(str(answer["issuer"]), places["authorization"], places["token"], keys, places["userinfo"], "client_secret_basic" not in ways)


def address(provider: Provider, client: Client, ticket: Ticket, **extra: str) -> str:
    """Where the browser goes to sign in at the provider."""
    challenge = base64.urlsafe_b64encode(hashlib.sha256(ticket.verifier.encode()).digest()).decode().rstrip("=")
    query = {
        "response_type": "code", "client_id": client.client_id, "redirect_uri": client.redirect_uri, "scope": "openid email profile", "state": ticket.state,
        "nonce": ticket.nonce, "code_challenge": challenge, "code_challenge_method": "S256", **extra,
    }
    return provider.authorization + ("&" if "?" in provider.authorization else "?") + urlencode(query)


def claims(provider: Provider, client: Client, ticket: Ticket, code: str) -> dict[str, Any]:
    """Trade the code for what the provider vouches for; raises Wrong unless every check holds."""
    status, tokens = _trade(provider, client, ticket, code)
    if status != 200 or not isinstance(tokens.get("id_token"), str):
        raise Wrong("The provider did not accept the sign-in. Try again.")
    found = _verified(provider, client, ticket, tokens["id_token"])
    if "email" not in found and provider.userinfo and isinstance(tokens.get("access_token"), str):
        more = _fetch(client, provider.userinfo, "issuer", {"Authorization": f"Bearer {tokens['access_token']}"})
        if more.get("sub") == found["sub"]:
            found = {**more, **found}
    return found


def check(client: Client) -> Provider:
    """Try the settings without anybody signing in; raises Wrong with the field at fault."""
    provider = discover(client)
    if not _fetch(client, provider.keys, "issuer").get("keys"):
        raise Wrong("The issuer publishes no keys to check its tokens with.", "issuer")
    ticket = Ticket.new()
    if 400 <= _request(client, "GET", address(provider, client, ticket), "issuer").status < 500:
        raise Wrong("The provider does not know this client ID, or does not allow it to come back to the address shown above.", "client_id")
    status, answer = _trade(provider, client, ticket, "check-" + secrets.token_urlsafe(8))
    if status == 401 or answer.get("error") in ("invalid_client", "unauthorized_client"):
        raise Wrong("The provider does not accept this secret for this client ID.", "secret")
    if answer.get("error") != "invalid_grant" and status != 400:
        raise Wrong(f"The provider’s token address answered with status {status}.", "issuer")
    return provider


def _trade(provider: Provider, client: Client, ticket: Ticket, code: str) -> tuple[int, dict[str, Any]]:
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": client.redirect_uri, "code_verifier": ticket.verifier, "client_id": client.client_id}
    auth = None
    if provider.secret_in_body:
        form["client_secret"] = client.secret
    else:
        auth = (quote(client.client_id, safe=""), quote(client.secret, safe=""))  # RFC 6749, 2.3.1
    answer = _request(client, "POST", provider.token, "issuer", data=form, auth=auth)
    parsed = answer.json()
    return answer.status, parsed if isinstance(parsed, dict) else {}


def _verified(provider: Provider, client: Client, ticket: Ticket, token: str) -> dict[str, Any]:
    """The claims of the ID token, once its signature, issuer, audience, times and nonce are right."""
    from joserfc import jwt
    from joserfc.jwk import KeySet

    try:
        decoded = jwt.decode(token, KeySet.import_key_set(_fetch(client, provider.keys, "issuer")), algorithms=ALGORITHMS)  # type: ignore[arg-type]
        found = dict(decoded.claims)
    except Wrong:
        raise
    except Exception:  # whatever is wrong with bytes of a stranger
        raise Wrong("The provider’s answer is not signed by its own keys.") from None
    audience, now = found.get("aud"), time.time()
    audiences = audience if isinstance(audience, list) else [audience]
    right = (
        found.get("iss") == provider.issuer
        and client.client_id in audiences
        and (len(audiences) == 1 or found.get("azp") == client.client_id)
        and isinstance(found.get("exp"), int | float) and found["exp"] > now - LEEWAY
        and isinstance(found.get("iat"), int | float) and found["iat"] < now + LEEWAY
        and isinstance(found.get("sub"), str)
    )
    if not right:
        raise Wrong("The provider’s answer was made for somebody else, or is too old. Try again.")
    if not isinstance(found.get("nonce"), str) or not secrets.compare_digest(found["nonce"].encode(), ticket.nonce.encode()):
        raise Wrong("The provider’s answer belongs to another sign-in. Try again.")
    return found


def _secure(client: Client, place: str) -> None:
    """Only https, but for origins that the operator trusts."""
    try:
        fine = urlsplit(place).scheme == "https" or net.origin(place) in {net.origin(each) for each in client.trusted}
    except (net.Refused, ValueError):
        fine = False
    if not fine:
        raise Wrong("Every address of the provider must begin with https://.", "issuer")


def _fetch(client: Client, url: str, at_fault: str, headers: dict[str, str] | None = None) -> dict[str, Any]:
    answer = _request(client, "GET", url, at_fault, headers=headers)
    parsed = answer.json()
    if answer.status != 200 or not isinstance(parsed, dict):
        raise Wrong(f"{urlsplit(url).hostname} does not answer as an OpenID provider does (status {answer.status}).", at_fault)
    return parsed


def _request(client: Client, method: str, url: str, at_fault: str, **arguments: Any) -> net.Response:
    _secure(client, url)
    try:
        return net.request(method, url, allow_private=tuple(client.trusted) or False, **arguments)
    except net.Refused as error:
        raise Wrong(str(error), at_fault) from None
    except net.NetError:
        raise Wrong(f"{urlsplit(url).hostname} could not be reached. Check the address, or try again in a moment.", at_fault) from None
