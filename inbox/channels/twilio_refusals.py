"""Why registrations are turned down: Twilio's codes and the words of its brand feedback, at our fields, with what to change."""

from __future__ import annotations

from typing import NamedTuple


class Refusal(NamedTuple):
    """Our form field (None: the whole), what is wrong, and what to change."""

    field: str | None
    sentence: str
    change: str


REFUSALS: dict[str, Refusal] = {
    # the business
    "21628": Refusal("brand_address_street", "The carrier could not find the business address.", "Check street, city, state and postal code."),
    "21717": Refusal(None, "The brand is not registered yet.", "Wait until it is approved."),
    "21736": Refusal("contact_email", "The contact e-mail of the brand is not accepted.", "Use an address at the business’s own domain that somebody reads."),
    "30702": Refusal("brand_legal_name", "The business could not be found.", "Legal name, EIN and address must match the official records letter by letter."),
    "30794": Refusal("brand_ein", "The legal name and the EIN don’t belong together.", "Copy both from the letter the tax office sent (CP 575 or 147C)."),
    "TAX_ID": Refusal(
        "brand_ein", "The EIN does not match the legal name in the official records.", "Copy both from the letter the tax office sent (CP 575 or 147C).",
    ),
    "STOCK_SYMBOL": Refusal("brand_type", "No listed company was found under this name.", "Choose “Private company”, unless the shares are traded."),
    "NONPROFIT": Refusal(
        "brand_type", "The business is not on the list of tax-exempt organizations.", "Choose “Private company”, or use the name and EIN of the exemption letter.",
    ),
    "GOVERNMENT_ENTITY": Refusal(
        "brand_type", "The business could not be confirmed as a part of government.", "Choose another kind, or use the agency’s official name and website.",
    ),
    "OTHERS": Refusal(
        "brand_legal_name", "The business could not be confirmed from public records.", "Check name, EIN, address and website against official papers.",
    ),
    # the campaign
    "21727": Refusal(None, "The campaign is missing something.", "Fill in every required field."),
    "30893": Refusal(
        "sample_1", "The samples don’t match the purpose.", "Show texts you really send for it; one names the business and one says how to opt out.",
    ),
    "30896": Refusal(
        "message_flow", "Reviewers can’t tell how people agree to texts.",
        "Say where they agree, how often you text, “Message and data rates may apply”, and link to a public page that shows it.",
    ),
    "30897": Refusal(
        "description", "Carriers don’t allow this content.", "Take out gambling, loans, cannabis and the like, here, in the samples and on the website.",
    ),
    "30899": Refusal(
        None, "One of the carriers turned the campaign down.", "Make business, website, samples and purpose tell the same story; if they do, ask the carrier’s support.",
    ),
    "30900": Refusal("use_case", "This purpose is not open to your business.", "Choose another one; “Customer care” suits answers to people who write to you."),
    "30902": Refusal(
        None, "The carriers’ reviewer turned the campaign down.", "Make business, website, samples and purpose tell the same story; if they do, ask the carrier’s support.",
    ),
    "30930": Refusal(None, "The business has 100 campaigns, the most allowed.", "Remove one that is not used any more, then submit again."),
    "30532": Refusal("description", "Personal texting can’t be registered.", "Describe what your business texts about."),
    "30533": Refusal(
        "description", "Texting between people can’t be registered.", "Describe what your business texts its customers, not what staff text each other.",
    ),
    "30538": Refusal("sample_1", "A purpose has no sample.", "Add one sample for each thing you text about."),
    "30540": Refusal(
        "opt_in_message", "The confirmation of the opt-in is missing or unclear.", "Name the business, say what people get, and that STOP ends it.",
    ),
    "30544": Refusal("message_flow", "People aren’t told what they sign up for.", "Say at the sign-up what the texts are about."),
}
