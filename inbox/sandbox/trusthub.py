"""Business identity: customer profiles, trust products and the papers assigned to them."""

from __future__ import annotations

import json
from typing import Any

from flask import Blueprint, Response, request

from .carrier import Carrier
from .clock import iso
from .hooks import notify
from .store import Doc
from .wire import (
    Refusal,
    carrier,
    fetch_or_404,
    field,
    listing,
    modern_page,
    new_sid,
    ok,
    required,
    web_address,
)
from .worker import job

bp = Blueprint("trusthub", __name__, url_prefix="/v1")

PROFILE_POLICY = "RNdfbf3fae0e1107f8aded0e7cead80bf5"
STARTER_POLICY = "RN806dd6cd175f314e1f96a9727ee271f4"
A2P_POLICY = "RNb0d4771c2c98518d916a3d4cd70a8f8b"
POLICIES = {
    PROFILE_POLICY: "Secondary Customer Profile", STARTER_POLICY: "Starter Customer Profile",
    A2P_POLICY: "A2P Messaging Profile",
}
BUNDLES = {"CustomerProfiles": ("profile", "customer_profile"), "TrustProducts": ("trust", "trust_product")}
NEEDS: dict[str, dict[str, tuple[str, ...]]] = {
    "customer_profile_business_information": {
        "fields": ("business_name", "business_type", "business_registration_number", "business_industry"),
    },
    "authorized_representative_1": {"fields": ("first_name", "last_name", "email", "phone_number")},
    "us_a2p_messaging_profile_information": {"fields": ("company_type",)},
}
BUNDLE_NEEDS = {
    PROFILE_POLICY: ("customer_profile_business_information", "authorized_representative_1"),
    STARTER_POLICY: (),
    A2P_POLICY: ("us_a2p_messaging_profile_information",),
}


def _attributes() -> Doc:
    text = request.form.get("Attributes", "") or "{}"
    try:
        found = json.loads(text)
    except ValueError:
        raise Refusal(400, 20001, "Attributes must be a JSON object") from None
    if not isinstance(found, dict):
        raise Refusal(400, 20001, "Attributes must be a JSON object")
    return found


# ── policies ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _policy(sid: str) -> Doc:
    needs = BUNDLE_NEEDS[sid]
    return {
        "sid": sid, "friendly_name": POLICIES[sid], "_path": f"/v1/Policies/{sid}",
        "requirements": {
            "end_user": [{"type": need, "name": need, "requirement_name": need, "fields": list(NEEDS[need]["fields"])}
                         for need in needs],
            "supporting_document": [], "supporting_customer_profiles": [], "supporting_trust_products": [],
        },
    }


@bp.get("/Policies")
def policies() -> Response:
    return modern_page("results", [_policy(sid) for sid in POLICIES], False)


@bp.get("/Policies/<sid>")
def policy(sid: str) -> Response:
    if sid not in POLICIES:
        raise Refusal(404, 20404, f"The requested resource {request.path} was not found")
    return ok(_policy(sid))


# ── end users and documents ──────────────────────────────────────────────────────────────────────────────────────

PAPERS = {"EndUsers": ("end_user", "IT"), "SupportingDocuments": ("document", "RD")}


@bp.post("/<any(EndUsers, SupportingDocuments):what>")
def create_paper(what: str) -> Response:
    here = carrier()
    required("FriendlyName", "Type")
    kind, prefix = PAPERS[what]
    sid, now = new_sid(prefix), iso(here.clock.now())
    doc: Doc = {
        "sid": sid, "account_sid": here.account_sid, "friendly_name": field("FriendlyName"), "type": field("Type"),
        "attributes": _attributes(), "date_created": now, "date_updated": now, "_path": f"/v1/{what}/{sid}",
    }
    if kind == "document":
        doc |= {"status": "DRAFT", "mime_type": None}
    return ok(here.store.add(kind, doc), 201)


@bp.get("/<any(EndUsers, SupportingDocuments):what>")
def list_papers(what: str) -> Response:
    docs, more = listing(PAPERS[what][0])
    return modern_page("results", docs, more)


@bp.get("/<any(EndUsers, SupportingDocuments):what>/<sid>")
def show_paper(what: str, sid: str) -> Response:
    return ok(fetch_or_404(sid, PAPERS[what][0]))


@bp.post("/<any(EndUsers, SupportingDocuments):what>/<sid>")
def update_paper(what: str, sid: str) -> Response:
    here = carrier()
    fields: Doc = {"date_updated": iso(here.clock.now())}
    if field("FriendlyName"):
        fields["friendly_name"] = field("FriendlyName")
    if "Attributes" in request.form:
        fields["attributes"] = _attributes()
    with here.store.write():
        doc = fetch_or_404(sid, PAPERS[what][0])
        doc = here.store.change(sid, **fields) or doc
    return ok(doc)


@bp.delete("/<any(EndUsers, SupportingDocuments):what>/<sid>")
def delete_paper(what: str, sid: str) -> tuple[str, int]:
    fetch_or_404(sid, PAPERS[what][0])
    carrier().store.remove(sid)
    return "", 204


# ── profiles and trust products ──────────────────────────────────────────────────────────────────────────────────


@bp.post("/<any(CustomerProfiles, TrustProducts):what>")
def create_bundle(what: str) -> Response:
    here = carrier()
    required("FriendlyName", "Email", "PolicySid")
    if field("PolicySid") not in POLICIES:
        raise Refusal(400, 20001, f"PolicySid {field('PolicySid')} does not exist")
    callback = field("StatusCallback")
    if callback:
        web_address(callback, 21609, "StatusCallback")
    sid, now = new_sid("BU"), iso(here.clock.now())
    path = f"/v1/{what}/{sid}"
    name = BUNDLES[what][1]
    doc: Doc = {
        "sid": sid, "account_sid": here.account_sid, "policy_sid": field("PolicySid"),
        "friendly_name": field("FriendlyName"), "status": "draft", "valid_until": None, "email": field("Email"),
        "status_callback": callback or None, "date_created": now, "date_updated": now, "errors": None,
        "_path": path, "_what": what, "_links": {
            f"{name}s_entity_assignments": f"{path}/EntityAssignments",
            f"{name}s_evaluations": f"{path}/Evaluations",
            f"{name}s_channel_endpoint_assignment": f"{path}/ChannelEndpointAssignments",
        },
    }
    return ok(here.store.add(BUNDLES[what][0], doc), 201)


@bp.get("/<any(CustomerProfiles, TrustProducts):what>")
def list_bundles(what: str) -> Response:
    where, args = ["1=1"], []
    for name, key in (("Status", "status"), ("FriendlyName", "friendly_name"), ("PolicySid", "policy_sid")):
        if request.args.get(name):
            where.append(f"json_extract(data, '$.{key}') = ?")
            args.append(request.args[name])
    docs, more = listing(BUNDLES[what][0], where=" AND ".join(where), args=tuple(args))
    return modern_page("results", docs, more)


@bp.get("/<any(CustomerProfiles, TrustProducts):what>/<sid>")
def show_bundle(what: str, sid: str) -> Response:
    return ok(fetch_or_404(sid, BUNDLES[what][0]))


@bp.post("/<any(CustomerProfiles, TrustProducts):what>/<sid>")
def update_bundle(what: str, sid: str) -> Response:
    here = carrier()
    wanted = field("Status")
    with here.store.write():
        doc = fetch_or_404(sid, BUNDLES[what][0])
        fields: Doc = {"date_updated": iso(here.clock.now())}
        for name, key in (("FriendlyName", "friendly_name"), ("Email", "email")):
            if field(name):
                fields[key] = field(name)
        if field("StatusCallback"):
            fields["status_callback"] = web_address(field("StatusCallback"), 21609, "StatusCallback")
        if wanted:
            if wanted not in ("draft", "pending-review"):
                raise Refusal(400, 20001, f"Status cannot be set to {wanted}")
            if doc["status"] == "in-review":
                raise Refusal(400, 20001, "The bundle is in review and cannot be changed")
            fields["status"] = wanted
        doc = here.store.change(sid, **fields) or doc
        if wanted == "pending-review":
            here.schedule("review_bundle", sid, here.clock.now() + here.review_seconds("profile") / 3, sid=sid)
    return ok(doc)


@bp.delete("/<any(CustomerProfiles, TrustProducts):what>/<sid>")
def delete_bundle(what: str, sid: str) -> tuple[str, int]:
    fetch_or_404(sid, BUNDLES[what][0])
    carrier().store.remove(sid)
    return "", 204


@bp.post("/<any(CustomerProfiles, TrustProducts):what>/<sid>/EntityAssignments")
def assign(what: str, sid: str) -> Response:
    here = carrier()
    required("ObjectSid")
    target = field("ObjectSid")
    with here.store.write():
        fetch_or_404(sid, BUNDLES[what][0])
        if here.store.get(target) is None:
            raise Refusal(404, 20404, f"The object {target} was not found")
        if any(item["object_sid"] == target for item in here.store.list("assignment", sid)):
            raise Refusal(400, 20001, f"The object {target} is already assigned")
        doc = here.store.add("assignment", {
            "sid": new_sid("BV"), "account_sid": here.account_sid, "object_sid": target,
            f"{BUNDLES[what][1]}_sid": sid, "date_created": iso(here.clock.now()), "_path": "",
        }, sid)
        doc = here.store.change(doc["sid"], _path=f"/v1/{what}/{sid}/EntityAssignments/{doc['sid']}") or doc
    return ok(doc, 201)


@bp.get("/<any(CustomerProfiles, TrustProducts):what>/<sid>/EntityAssignments")
def assignments(what: str, sid: str) -> Response:
    fetch_or_404(sid, BUNDLES[what][0])
    docs, more = listing("assignment", sid, newest_first=False)
    return modern_page("results", docs, more)


@bp.get("/<any(CustomerProfiles, TrustProducts):what>/<sid>/EntityAssignments/<item>")
def assignment(what: str, sid: str, item: str) -> Response:
    return ok(fetch_or_404(item, "assignment"))


@bp.delete("/<any(CustomerProfiles, TrustProducts):what>/<sid>/EntityAssignments/<item>")
def unassign(what: str, sid: str, item: str) -> tuple[str, int]:
    fetch_or_404(item, "assignment")
    carrier().store.remove(item)
    return "", 204


@bp.post("/<any(CustomerProfiles, TrustProducts):what>/<sid>/Evaluations")
def evaluate(what: str, sid: str) -> Response:
    here = carrier()
    bundle = fetch_or_404(sid, BUNDLES[what][0])
    results = evaluation(here, bundle)
    doc = {
        "sid": new_sid("EL"), "account_sid": here.account_sid, "policy_sid": bundle["policy_sid"],
        f"{BUNDLES[what][1]}_sid": sid, "status": "compliant" if all(item["passed"] for item in results)
        else "noncompliant", "results": results, "date_created": iso(here.clock.now()), "_path": "",
    }
    doc["_path"] = f"/v1/{what}/{sid}/Evaluations/{doc['sid']}"
    return ok(here.store.add("evaluation", doc, sid), 201)


@bp.get("/<any(CustomerProfiles, TrustProducts):what>/<sid>/Evaluations")
def evaluations(what: str, sid: str) -> Response:
    fetch_or_404(sid, BUNDLES[what][0])
    docs, more = listing("evaluation", sid)
    return modern_page("results", docs, more)


@bp.get("/<any(CustomerProfiles, TrustProducts):what>/<sid>/Evaluations/<item>")
def show_evaluation(what: str, sid: str, item: str) -> Response:
    return ok(fetch_or_404(item, "evaluation"))


def assigned(here: Carrier, bundle_sid: str, kind: str) -> Doc:
    """The attributes of the end user of this type on a bundle, {} when there is none."""
    for item in here.store.list("assignment", bundle_sid):
        found = here.store.get(item["object_sid"], "end_user")
        if found and found["type"] == kind:
            return dict(found["attributes"])
    return {}


def evaluation(here: Carrier, bundle: Doc) -> list[Doc]:
    """What the bundle's policy asks for, and whether it is there."""
    results = []
    for need in BUNDLE_NEEDS[bundle["policy_sid"]]:
        have = assigned(here, bundle["sid"], need)
        fields = [
            {"object_field": name, "friendly_name": name.replace("_", " ").capitalize(),
             "passed": bool(have.get(name)), "failure_reason": "" if have.get(name) else f"{name} is missing",
             "error_code": None if have.get(name) else 22217}
            for name in NEEDS[need]["fields"]
        ]
        passed = all(item["passed"] for item in fields)
        results.append({
            "requirement_name": need, "requirement_friendly_name": need.replace("_", " ").capitalize(),
            "object_type": need, "passed": passed, "failure_reason": "" if have else f"No {need} is assigned",
            "error_code": None if passed else 22214, "valid": [item for item in fields if item["passed"]],
            "invalid": [item for item in fields if not item["passed"]],
        })
    return results


def set_bundle_status(here: Carrier, doc: Doc, status: str, reason: str = "") -> None:
    """Decide a profile or trust product and tell its StatusCallback."""
    errors = [{"code": 22214, "description": reason, "fields": []}] if reason else None
    with here.store.write():
        here.store.change(doc["sid"], status=status, errors=errors, date_updated=iso(here.clock.now()))
        if doc.get("status_callback"):
            params = [("AccountSid", here.account_sid), ("BundleSid", doc["sid"]), ("Status", status)]
            if reason:
                params.append(("FailureReason", reason))
            notify(here, doc["status_callback"], params, event=f"profile.{status}", sid=doc["sid"], lane=doc["sid"])


@job
def review_bundle(here: Carrier, at: float, sid: str) -> None:
    """The next step of a bundle's review."""
    doc: Any = here.store.get(sid)
    if doc is None or doc["status"] not in ("pending-review", "in-review"):
        return
    if doc["status"] == "pending-review":
        set_bundle_status(here, doc, "in-review")
        here.schedule("review_bundle", sid, at + here.review_seconds("profile") * 2 / 3, sid=sid)
        return
    missing = [item["failure_reason"] or f"{item['requirement_name']} is incomplete"
               for item in evaluation(here, doc) if not item["passed"]]
    set_bundle_status(here, doc, "twilio-rejected" if missing else "twilio-approved", "; ".join(missing))
