"""Holds a conversation with the carrier against the carrier's own published OpenAPI documents: every request and every answer.

The documents are not part of this project. `documents` reads those of a folder: `spec/json` of github.com/twilio/twilio-oai (MIT).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

NAMES = ("twilio_api_v2010.json", "twilio_messaging_v1.json", "twilio_trusthub_v1.json", "twilio_events_v1.json")
FORM = "application/x-www-form-urlencoded"
PHONE = re.compile(r"(\+[0-9]{5,15}|[0-9]{3,8}|[A-Za-z0-9 ]{1,11}|[a-z]+:.+)\Z")
# What Twilio does and its documents don't say: an empty id takes an application away, no address is an
# empty one, numbers tell their capabilities in capitals, and answers have parts nobody wrote down.
ACCEPTED = re.compile(
    r"field (Sms|Voice)ApplicationSid (has 0 characters|is not like .*: ''$)|answer\.(.*\.)?capabilities\.(SMS|MMS) is unknown|answer\.(.*\.)?(subresource_uris|tags|annotation) is unknown"
    r"|answer\.(.*\.)?voice_fallback_url is no uri: ''$"
)
Schema = dict[str, Any]


def documents(folder: Path) -> list[Schema]:
    return [json.loads((folder / name).read_text(encoding="utf-8")) for name in NAMES]


@dataclass
class Call:
    """One exchange as it went over the wire."""

    method: str
    target: str
    content_type: str
    body: bytes
    status: int
    answer: bytes

    def __str__(self) -> str:
        return f"{self.method} {self.target} -> {self.status}"


@dataclass
class Operation:
    """What a document says about one method of one path."""

    template: str
    method: str
    document: Schema
    told: Schema

    def matches(self, path: str) -> dict[str, str] | None:
        pattern = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(self.template))
        found = re.fullmatch(pattern, path)
        return found.groupdict() if found else None


@dataclass
class Published:
    """The documents, what was checked against them, and what did not agree."""

    documents: list[Schema]
    seen: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.operations = [
            Operation(path, method.upper(), document, told)
            for document in self.documents
            for path, methods in document["paths"].items()
            for method, told in methods.items()
            if method in ("get", "post", "delete", "put", "patch")
        ]
        self.operations.sort(key=lambda operation: operation.template.count("{"))  # /Usecases before /{Sid}
        self.own = self._own()

    def check(self, call: Call) -> None:
        """Note what of this exchange the documents do not allow."""
        told = [problem for problem in self._problems(call) if not (problem.startswith("answer") and _kind(problem) in self.own) and not ACCEPTED.match(problem)]
        self.problems += [f"{call}: {problem}" for problem in told]

    def _problems(self, call: Call) -> Iterator[str]:
        parts = urlsplit(call.target)
        found = [(operation, values) for operation in self.operations if (values := operation.matches(unquote(parts.path))) is not None]
        if not found:
            yield "no document knows this path"
            return
        fitting = [(operation, values) for operation, values in found if operation.method == call.method]
        if not fitting:
            yield "the path does not take this method"
            return
        operation, values = fitting[0]
        name = f"{operation.method} {operation.template}"
        self.seen[name] = self.seen.get(name, 0) + 1
        checker = Checker(operation.document)
        yield from self._request(checker, operation, values, parse_qsl(parts.query, keep_blank_values=True), call)
        yield from self._answer(checker, operation, call)

    def _request(self, checker: Checker, operation: Operation, values: dict[str, str], query: list[tuple[str, str]], call: Call) -> Iterator[str]:
        named = [checker.resolved(each) or {} for each in (*operation.document["paths"][operation.template].get("parameters", ()), *operation.told.get("parameters", ()))]
        parameters = {(each["in"], each["name"]): each for each in named}
        for name, value in values.items():
            yield from checker.text(parameters["path", name]["schema"], value, f"path {name}")
        yield from self._fields(checker, {name: each["schema"] for (where, name), each in parameters.items() if where == "query"}, query, "query")
        yield from (f"query {name} is missing" for (where, name), each in parameters.items() if where == "query" and each.get("required") and name not in dict(query))
        content = operation.told.get("requestBody", {}).get("content", {})
        kind = call.content_type.partition(";")[0].strip()
        if not call.body:
            schema = next(iter(content.values()), {}).get("schema", {})
        elif kind not in content:
            yield f"a body of type {kind or 'none'}"
            return
        else:
            schema = content[kind]["schema"]
        fields = parse_qsl(call.body.decode("utf-8"), keep_blank_values=True, errors="strict") if kind == FORM else []
        if kind in ("", FORM):
            yield from self._fields(checker, schema.get("properties", {}), fields, "field")
            yield from (f"field {name} is missing" for name in schema.get("required", ()) if name not in dict(fields))
        elif call.body:
            yield from checker.value(schema, json.loads(call.body), "body")

    def _fields(self, checker: Checker, schemas: dict[str, Schema], fields: list[tuple[str, str]], where: str) -> Iterator[str]:
        for name in dict.fromkeys(name for name, _ in fields):
            values = [value for other, value in fields if other == name]
            schema = checker.resolved(schemas.get(name))
            if schema is None:
                yield f"{where} {name} is unknown"
            elif schema.get("type") == "array":
                for value in values:
                    yield from checker.text(schema.get("items", {}), value, f"{where} {name}")
            elif len(values) > 1:
                yield f"{where} {name} comes {len(values)} times"
            else:
                yield from checker.text(schema, values[0], f"{where} {name}")

    def _answer(self, checker: Checker, operation: Operation, call: Call) -> Iterator[str]:
        if call.status >= 400:  # the documents leave refusals out; every one is {code, message, more_info, status}
            told = json.loads(call.answer)
            if not (isinstance(told.get("code"), int) and isinstance(told.get("message"), str) and told.get("status") == call.status):
                yield f"a refusal without its words: {call.answer[:200]!r}"
            return
        answers = operation.told["responses"]
        if str(call.status) not in answers:
            yield f"the answer is none of {', '.join(answers)}"
            return
        content = answers[str(call.status)].get("content", {}).get("application/json")
        if content is None:
            if call.answer:
                yield "the answer should be empty"
            return
        yield from checker.value(content["schema"], json.loads(call.answer), "answer")

    def _own(self) -> set[str]:
        """The kinds of problems that the documents' own examples have: there the schema is wrong, and not the answer."""
        found = set()
        for operation in self.operations:
            checker = Checker(operation.document)
            contents = [each["content"]["application/json"] for each in operation.told["responses"].values() if "application/json" in each.get("content", {})]
            for content in contents:
                examples = content.get("examples", {}).values()
                found |= {_kind(problem) for example in examples for problem in checker.value(content["schema"], example["value"], "answer")}
        return found


def _kind(problem: str) -> str:
    """The field and what is wrong with it, without its value and the way to it."""
    return problem.partition(": ")[0].rpartition(".")[2]


class Checker:
    """OpenAPI 3.0 schemas, as far as these documents use them."""

    def __init__(self, document: Schema) -> None:
        self.document = document

    def resolved(self, schema: Schema | None) -> Schema | None:
        while schema is not None and "$ref" in schema:
            found: Any = self.document
            for step in schema["$ref"].removeprefix("#/").split("/"):
                found = found[step]
            schema = found
        return schema

    def text(self, schema: Schema, value: str, where: str) -> Iterator[str]:
        """A value as forms and addresses carry it."""
        told = self.resolved(schema) or {}
        kind = told.get("type")
        try:
            read: Any = int(value) if kind == "integer" else float(value) if kind == "number" else {"true": True, "false": False}[value] if kind == "boolean" else value
            if kind == "object" or not kind and not told.get("enum"):
                read = json.loads(value)
        except (ValueError, KeyError):
            yield f"{where} is no {kind or 'JSON'}: {value[:80]!r}"
            return
        yield from self.value(told, read, where)

    def value(self, schema: Schema, value: Any, where: str) -> Iterator[str]:
        told = self.resolved(schema) or {}
        if value is None:
            if not told.get("nullable") and told.get("type"):
                yield f"{where} is null"
            return
        types = {"string": str, "integer": int, "number": (int, float), "boolean": bool, "array": list, "object": dict}
        kind = told.get("type")
        if kind and (not isinstance(value, types[kind]) or isinstance(value, bool) and kind != "boolean"):
            yield f"{where} is no {kind}: {value!r:.80}"
            return
        if "enum" in told and value not in told["enum"]:
            yield f"{where} is none of {told['enum']}: {value!r:.80}"
        if isinstance(value, str):
            yield from self._string(told, value, where)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            if not told.get("minimum", value) <= value <= told.get("maximum", value):
                yield f"{where} is out of range: {value}"
        elif isinstance(value, list):
            for place, item in enumerate(value):
                yield from self.value(told.get("items", {}), item, f"{where}[{place}]")
        elif isinstance(value, dict) and "properties" in told:
            for name, item in value.items():
                if name in told["properties"]:
                    yield from self.value(told["properties"][name], item, f"{where}.{name}")
                elif not told.get("additionalProperties"):
                    yield f"{where}.{name} is unknown"
            yield from (f"{where}.{name} is missing" for name in told.get("required", ()) if name not in value)

    def _string(self, told: Schema, value: str, where: str) -> Iterator[str]:
        if not told.get("minLength", 0) <= len(value) <= told.get("maxLength", len(value)):
            yield f"{where} has {len(value)} characters: {value[:80]!r}"
        if "pattern" in told and not re.search(told["pattern"], value):
            yield f"{where} is not like {told['pattern']}: {value[:80]!r}"
        if not _fits(told.get("format", ""), value) and not told.get("x-twilio", {}).get("ignoreFormat"):
            yield f"{where} is no {told['format']}: {value[:80]!r}"


def _fits(kind: str, value: str) -> bool:
    try:
        if kind == "date-time-rfc-2822":
            parsedate_to_datetime(value)
        elif kind in ("date-time", "date"):
            datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return False
    if kind == "uri":
        return bool(urlsplit(value).scheme in ("http", "https") and urlsplit(value).netloc)
    if kind == "http-method":
        return value in ("HEAD", "GET", "POST", "PATCH", "PUT", "DELETE")
    if kind in ("iso-country-code", "currency"):
        return re.fullmatch(r"[A-Za-z]{2,3}", value) is not None
    return kind != "phone-number" or PHONE.fullmatch(value) is not None
