"""Small files say the same: no token of a script and no value of a style sheet is lost, whatever is written in them."""

from __future__ import annotations

import gzip
import re

import pytest

from inbox import STATIC, assets, minify

SCRIPTS = sorted(path.name for path in STATIC.glob("*.js"))


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_small_script_has_the_same_words_in_the_same_order(name):
    def words(text):
        return [token for kind, token in minify.tokens(text) if kind != "space"]

    source = (STATIC / name).read_text()
    small = minify.script(source)
    assert words(small) == words(source)
    assert len(small) < len(source) and "\n\n" not in small


@pytest.mark.parametrize(
    ("source", "small"),
    [
        ("const a = 1; // why\nf( a )", "const a=1;f(a)"),
        ("let a = b\n+ c\n(d)", "let a=b\n+c\n(d)"),
        ("a = x / y / z; b = /\\/[/*]* /g.test( s )", "a=x/y/z;b=/\\/[/*]* /g.test(s)"),
        ("return /a  b/.exec(t)", "return/a  b/.exec(t)"),
        ("`a  ${ f(`  ${ '}' } `) }  // no`", "`a  ${ f(`  ${ '}' } `) }  // no`"),
        ("x = 'a // b' + \"/* c */\"", "x='a // b'+\"/* c */\""),
        ("a + ++b; c - -d", "a+ ++b;c- -d"),
        ("a /* one\ntwo */ b", "a\nb"),
        ("if (a) {\n  b()\n}\nelse c()", "if(a){b()\n}\nelse c()"),
    ],
)
def test_what_looks_like_space_or_comment_stays_where_it_is_none(source, small):
    assert minify.script(source) == small


@pytest.mark.parametrize(
    ("source", "small"),
    [
        ("a :hover { color : red; }", "a :hover{color : red}"),
        (".a > .b , .c { margin: 0 auto ; &:hover { top: calc(1px + 2px); } }", ".a > .b,.c{margin:0 auto;&:hover{top:calc(1px + 2px)}}"),
        ('a::after { content: " ; {  } /* no */ "; } /* yes */', 'a::after{content:" ; {  } /* no */ "}'),
        ("@media (width < 720px) { a { b: c } }", "@media (width < 720px){a{b:c}}"),
        ("a { background: url(../x/y.woff2) }", "a{background:url(../x/y.woff2)}"),
    ],
)
def test_styles_keep_spaces_that_mean_something(source, small):
    assert minify.style(source) == small


def test_files_are_served_packed_and_kept_for_ever(app, client):
    with app.test_request_context():
        address = assets.address("app.js")
    answer = client.get(address, headers={"Accept-Encoding": "gzip"})
    assert answer.headers["Content-Encoding"] == "gzip" and "immutable" in answer.headers["Cache-Control"] and answer.headers["Vary"] == "Accept-Encoding"
    assert gzip.decompress(answer.data).decode() == minify.script((STATIC / "app.js").read_text())
    assert client.get(address).data == assets.plain("app.js")
    for path in ("../config.py", "%2e%2e/config.py", "nothing.js", "vendor", ""):
        assert client.get(f"/static/x/{path}").status_code == 404, path


def test_modules_that_load_each_other_change_their_address_together(monkeypatch):
    assert {assets.version(name) for name in SCRIPTS} == {assets.version("app.js")}
    before = assets.version.__wrapped__("app.js")
    monkeypatch.setattr(assets, "plain", lambda path: b"new" if path == "thread.js" else path.encode())
    assert assets.version.__wrapped__("app.js") != before


def test_the_icons_are_those_that_pages_use():
    sprite = assets.plain("icons.svg").decode()
    assert 'id="archive"' in sprite and 'id="inbox"' in sprite
    assert len(sprite) < len((STATIC / "icons.svg").read_text())
    asked = {name for page in (STATIC.parent / "templates").glob("**/*.html") for name in re.findall(r'icon\("([a-z0-9-]+)"', page.read_text())}
    assert "x" in asked and not [name for name in asked if f'id="{name}"' not in sprite]
