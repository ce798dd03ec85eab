"""S103: nobody forges a line of the audit log, on the page or in the file."""

from __future__ import annotations

import csv
import io
import re

import pytest

from inbox.models import Event, transaction

FORGED = "Maya\r\n2026-01-01 00:00:00,Dana Whitfield,Dana Whitfield gave Mallory the role Owner"
EVIL = [FORGED, "a\u2028b", "a\u2029b", "a\x1b[2Kb", "a\u202eb", "a\x85b", "a\x0bb", "a\x0cb", "\ufeffab", "a\u2066b"]
ODD = re.compile("[\x00-\x09\x0b-\x1f\x7f\x85\u2028\u2029\u202a-\u202e\u2066-\u2069]")


@pytest.mark.parametrize("text", EVIL)
def test_S103_one_event_is_one_line(app, world, text):
    client = app.test_client().sign_in(world.dana)
    with transaction():
        world.maya.name = text  # past every form
        Event.record("seat.given", account=world.harbor, by=world.maya, member=world.maya.id, name=text)
        Event.record("role.renamed", account=world.harbor, by=world.maya, before=text, after=text + "!")
        Event.record("invitation.sent", account=world.harbor, by=world.maya, email=text, role=text)
        Event.record("brand_new.thing", account=world.harbor, by=world.maya, before={text: text}, after={text: [text, {text: text}]})
    page = client.get("/settings/audit").text
    body = page.split('<ol class="audit"')[1].split("</ol>")[0]
    for row in re.findall(r'<div class="audit-what">\s*<p>(.*?)</p>', body, re.S):
        assert not ODD.search(row) and "\n" not in row, row
    data = client.send("/settings/audit.csv").get_data(as_text=True).removeprefix("\ufeff")
    rows = list(csv.reader(io.StringIO(data)))
    assert not any(ODD.search(cell) or "\n" in cell for row in rows for cell in row)
    assert all(len(row) == 8 for row in rows) and data.count("\r\n") == len(rows)
    assert not any(row[2] == "Dana Whitfield gave Mallory the role Owner" for row in rows)
