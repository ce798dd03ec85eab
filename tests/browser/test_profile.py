"""ACC-5 in a real browser: the preview while typing, a picture by choosing and by dropping, and a page everybody can use."""

from __future__ import annotations

import io

import pytest
from PIL import Image
from playwright.sync_api import expect

pytestmark = [pytest.mark.browser, pytest.mark.one_database]


def photo(color: str = "#2a7") -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (800, 500), color).save(out, "JPEG")
    return out.getvalue()


def test_ACC_5_the_preview_follows_the_typing_and_the_picture_comes_at_once(lived_in, person):
    maya = person(lived_in, lived_in.cast.maya)
    page = maya.open("/settings/profile")
    preview = page.locator("#preview")
    expect(preview).to_contain_text("pickup. - Maya")
    page.get_by_label("Under texts").press_sequentially("Dr. Chen")
    expect(preview).to_contain_text("pickup. - Dr. Chen")
    expect(preview).to_contain_text("1 segment")
    page.get_by_label("Under texts").press_sequentially(" 🐾")
    expect(preview).to_contain_text("/70 · 1 segment · Unicode, because of 🐾")
    expect(page.get_by_label("Under texts")).to_be_focused()
    page.get_by_label("Under e-mails").fill('Maya\n<b>Harbor Vet</b> <script>document.title="gone"</script><a href="javascript:alert(1)">x</a>')
    expect(preview.locator("b")).to_have_text("Harbor Vet")
    expect(preview.locator("script, a[href]")).to_have_count(0)
    page.get_by_label("Language of dates and numbers").select_option("de")
    expect(preview).to_contain_text("12.345")
    page.locator("#picture-file").set_input_files({"name": "me.jpg", "mimeType": "image/jpeg", "buffer": photo()})
    expect(page.locator("#picture img.av")).to_be_visible()
    expect(page.locator(".nav-foot img.av")).to_be_visible()
    assert page.locator("#picture img.av").evaluate("i => i.decode().then(() => i.naturalWidth)") == 256
    expect(page.get_by_label("Under e-mails")).to_have_value('Maya\n<b>Harbor Vet</b> <script>document.title="gone"</script><a href="javascript:alert(1)">x</a>')  # nothing typed is lost
    page.get_by_role("button", name="Save changes").click()
    expect(page.locator("#toasts")).to_contain_text("Saved.")
    expect(page.get_by_label("Under texts")).to_have_value("Dr. Chen 🐾")
    page.get_by_role("button", name="Remove picture").click()
    expect(page.locator("#picture span.av[data-i]")).to_be_visible()
    expect(page.locator(".nav-foot img.av")).to_have_count(0)


def test_ACC_5_a_picture_can_be_dropped_and_a_bad_one_says_why(lived_in, person):
    theo = person(lived_in, lived_in.cast.theo)
    page = theo.open("/settings/profile")
    drop = """(input, [bytes, name, type]) => {
      const held = new DataTransfer(); held.items.add(new File([new Uint8Array(bytes)], name, {type}));
      input.files = held.files; input.dispatchEvent(new Event('change', {bubbles: true}));
    }"""
    box, zone = page.locator("#picture-file").bounding_box(), page.locator(".drop").bounding_box()
    assert box and zone and box["width"] >= zone["width"] - 4 and box["height"] >= zone["height"] - 4, "the browser's own drop target covers the zone"
    page.locator("#picture-file").evaluate(drop, [list(b"<svg onload=alert(1)>"), "x.svg", "image/svg+xml"])
    expect(page.get_by_role("alert")).to_contain_text("Only JPEG, PNG, GIF and WebP pictures can be shown.")
    page.locator("#picture-file").evaluate(drop, [list(photo("#a42")), "me.jpg", "image/jpeg"])
    expect(page.locator("#picture img.av")).to_be_visible()
    expect(page.get_by_role("alert")).to_have_count(0)


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 1280), ("light", 390), ("dark", 390)])
def test_ACC_5_everybody_can_use_the_page(lived_in, person, scheme, width):
    dana = person(lived_in, lived_in.cast.dana, color_scheme=scheme, viewport={"width": width, "height": 900})
    page = dana.open("/settings/profile")
    expect(page.locator("h1")).to_have_count(1)
    dana.check_accessible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    dana.picture(f"profile-{scheme}-{width}")
    if width == 390:
        small = page.evaluate(
            "[...document.querySelectorAll('#main button, #main .drop, #main .tick, #main select')].filter(e => e.offsetParent && e.getBoundingClientRect().height < 44).map(e => e.outerHTML.slice(0, 90))"
        )
        assert not small, small


def test_ACC_5_the_page_works_without_javascript(lived_in, person):
    sven = person(lived_in, lived_in.cast.sven, java_script_enabled=False)
    page = sven.open("/settings/profile")
    page.get_by_label("Under texts").fill("Sven S.")
    page.get_by_role("button", name="Show preview").click()
    expect(page.locator("#preview")).to_contain_text("pickup. - Sven S.")
    expect(page.get_by_label("Under texts")).to_have_value("Sven S.")
    page.locator("#picture-file").set_input_files({"name": "me.jpg", "mimeType": "image/jpeg", "buffer": photo()})
    page.get_by_role("button", name="Use this picture").click()
    expect(page.locator("#picture img.av")).to_be_visible()
