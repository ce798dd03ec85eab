"""What passkeys and this site say to each other: options out, signatures in (WebAuthn, by py_webauthn)."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

import sqlalchemy as sa
from flask import current_app, request

from inbox.models import Challenge, Member, Passkey, Refused, db, transaction

LOCAL = {"localhost", "127.0.0.1", "::1"}
NOT_ACCEPTED = "That passkey was not accepted. Try again."
LARGEST_ANSWER = 20_000  # characters; a real one has about two thousand


def party() -> tuple[str, str]:
    """The name and the origin that passkeys are bound to: PUBLIC_URL's; on this very machine whichever of its names is used."""
    public = urlsplit(current_app.config["PUBLIC_URL"])
    if public.hostname in LOCAL:
        return urlsplit(request.host_url).hostname or "localhost", request.host_url.rstrip("/")
    return public.hostname or "", f"{public.scheme}://{public.netloc}"


def registration(who: Member) -> dict[str, Any]:
    """The options for a new passkey of a member, and the ticket of their challenge."""
    import webauthn
    from webauthn.helpers import base64url_to_bytes
    from webauthn.helpers.structs import AuthenticatorSelectionCriteria, PublicKeyCredentialDescriptor, ResidentKeyRequirement

    row = Challenge.give("register", who)
    options = webauthn.generate_registration_options(
        rp_id=party()[0], rp_name="Shared inbox", user_id=who.public_id.encode(), user_name=who.email, user_display_name=who.name, challenge=row.challenge,
        authenticator_selection=AuthenticatorSelectionCriteria(resident_key=ResidentKeyRequirement.PREFERRED),
        exclude_credentials=[PublicKeyCredentialDescriptor(id=base64url_to_bytes(known.credential)) for known in Passkey.of(who)],
    )
    return {"ticket": row.ticket, "options": json.loads(webauthn.options_to_json(options))}


def authentication(purpose: str, who: Member | None) -> dict[str, Any]:
    """The options for proving who one is; without a member, the browser offers every passkey it keeps for this site."""
    import webauthn
    from webauthn.helpers import base64url_to_bytes
    from webauthn.helpers.structs import PublicKeyCredentialDescriptor, UserVerificationRequirement

    row = Challenge.give(purpose, who)
    known = Passkey.of(who) if who else []
    options = webauthn.generate_authentication_options(
        rp_id=party()[0], challenge=row.challenge, allow_credentials=[PublicKeyCredentialDescriptor(id=base64url_to_bytes(each.credential)) for each in known],
        user_verification=UserVerificationRequirement.PREFERRED if purpose == "second" else UserVerificationRequirement.REQUIRED,
    )
    return {"ticket": row.ticket, "options": json.loads(webauthn.options_to_json(options))}


def registered(answer: str, ticket: str, name: str, who: Member) -> list[str]:
    """Keep the passkey that the browser made; returns recovery codes if these are the member's first. Raises Refused."""
    import webauthn
    from webauthn.helpers import bytes_to_base64url

    with transaction():
        challenge = Challenge.take(ticket, "register", who)
    credential = _parsed(answer)
    if challenge is None or credential is None:
        raise Refused("That took too long. Add the passkey again.")
    rp_id, origin = party()
    try:
        made = webauthn.verify_registration_response(credential=credential, expected_challenge=challenge, expected_rp_id=rp_id, expected_origin=origin)
    except Exception:  # whatever is wrong with bytes of a stranger
        raise Refused("That passkey was not accepted. Add it again.") from None
    with transaction():
        _, codes = Passkey.add(who, credential=bytes_to_base64url(made.credential_id), public_key=made.credential_public_key, sign_count=made.sign_count, name=name)
    return codes


def verified(answer: str, ticket: str, purpose: str, who: Member | None) -> Passkey | None:
    """The passkey that signed the challenge, once; None when anything is wrong. Without a second proof the key must have checked its person."""
    import webauthn

    challenge, credential = Challenge.take(ticket, purpose, who), _parsed(answer)
    if challenge is None or credential is None:
        return None
    row = db.session.scalar(sa.select(Passkey).where(Passkey.credential == str(credential.get("id", ""))[:1400]))
    if row is None or not row.member.active or (who is not None and row.member_id != who.id):
        return None
    rp_id, origin = party()
    try:
        seen = webauthn.verify_authentication_response(
            credential=credential, expected_challenge=challenge, expected_rp_id=rp_id, expected_origin=origin, credential_public_key=row.public_key,
            credential_current_sign_count=row.sign_count, require_user_verification=purpose != "second",
        )
    except Exception:  # whatever is wrong with bytes of a stranger
        return None
    return row if row.used(seen.new_sign_count) else None


def _parsed(answer: str) -> dict[str, Any] | None:
    try:
        parsed = json.loads(answer) if len(answer) <= LARGEST_ANSWER else None
    except (ValueError, RecursionError):
        return None
    return parsed if isinstance(parsed, dict) else None
