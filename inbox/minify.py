"""Scripts and styles without what only people read: comments, indentation, spaces nobody needs. Nothing is renamed or reordered."""

from __future__ import annotations

import re

_STRING = r""""(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'"""
_SCRIPT = re.compile(
    rf"(?P<comment>//[^\n]*|/\*.*?\*/)|(?P<space>\s+)|(?P<string>{_STRING})|(?P<word>[\w$#\u0080-\uffff]+)"
    r"|(?P<regex>/(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\[\n])+/[a-z]*)|(?P<sign>.)",
    re.S,
)
_STYLE = re.compile(rf"(?P<comment>/\*.*?\*/)|(?P<space>\s+)|(?P<string>{_STRING})|(?P<other>[^\s\"'/]+|/)", re.S)
_BEFORE_REGEX = frozenset(["return", "typeof", "case", "in", "of", "void", "delete", "throw", "new", "else", "do"])


def style(text: str) -> str:
    """The same style sheet: spaces stay where they may mean something (descendants, calc), others go."""
    parts = [" " if m["space"] or m["comment"] else m[0] for m in _STYLE.finditer(text)]
    strings = [p for p in parts if p[0] in "\"'"]
    bare = "".join("\0" if p[0] in "\"'" else p for p in parts)
    bare = re.sub(r"\s+", " ", bare)
    bare = re.sub(r" ?([{};,]) ?", r"\1", bare)
    bare = re.sub(r"(?<=[\w\])%]): (?=[^{}]*[;}])", ":", bare).replace(";}", "}").strip()
    kept = iter(strings)
    return re.sub("\0", lambda _: next(kept), bare)


def script(text: str) -> str:
    """The same module: line ends stay where a statement could end, so that nothing changes its meaning."""
    out: list[str] = []
    for kind, token in tokens(text):
        if kind != "space":
            out.append(token)
        elif "\n" in token:
            out.append("\n")
        elif out and out[-1] not in ("\n", " "):
            out.append(" ")
    return _tight(out)


def tokens(text: str) -> list[tuple[str, str]]:
    """The script in pieces; a comment counts as space, a template string is one piece with everything in it."""
    found: list[tuple[str, str]] = []
    before, at = "", 0
    while at < len(text):
        if text[at] == "`":
            end = _template_end(text, at)
            kind, token = "string", text[at:end]
        else:
            match = next(_SCRIPT.finditer(text, at))
            kind, token = str(match.lastgroup), match[0]
            if kind == "regex" and not _regex_may_follow(before):
                kind, token = "sign", "/"
        at += len(token)
        if kind == "comment":
            kind, token = "space", "\n" if "\n" in token or token.startswith("//") else " "
        if kind != "space":
            before = token
        found.append((kind, token))
    return found


def _regex_may_follow(before: str) -> bool:
    return not before or before in _BEFORE_REGEX or before[-1] in "(,=:[!&|?{};+-*%~^<>"


def _template_end(text: str, at: int) -> int:
    """Where a template string ends that begins at `at`, whatever strings stand inside its ${}."""
    at += 1
    while text[at] != "`":
        if text[at] == "\\":
            at += 2
        elif text.startswith("${", at):
            at = _hole_end(text, at + 2)
        else:
            at += 1
    return at + 1


def _hole_end(text: str, at: int) -> int:
    depth = 1
    while depth:
        if text[at] == "`":
            at = _template_end(text, at)
            continue
        quoted = re.compile(_STRING).match(text, at)
        if quoted:
            at = quoted.end()
            continue
        depth += {"{": 1, "}": -1}.get(text[at], 0)
        at += 1
    return at


def _tight(parts: list[str]) -> str:
    """Drop each space and line end that separates nothing."""
    out = ""
    for i, part in enumerate(parts):
        if part not in (" ", "\n"):
            out += part
            continue
        last, following = out[-1:], next((p for p in parts[i + 1 :] if p not in (" ", "\n")), "")
        if not last or not following or last == "\n":
            continue
        if part == "\n" or "\n" in parts[i + 1 : i + 2]:
            out += "" if last in "{;,(" or following[0] in ",)" else "\n"
        elif (_wordy(last) and _wordy(following[0])) or last + following[0] in ("++", "--", "//"):
            out += " "
    return out


def _wordy(character: str) -> bool:
    return character.isalnum() or character in "_$#" or character > "\x7f"
