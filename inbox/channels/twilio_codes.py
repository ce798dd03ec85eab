"""The carrier's error codes in plain words, and what each one means for a text."""

from __future__ import annotations

from inbox.channels.twilio_refusals import REFUSALS

# Nothing was done, and it may work later.
TRY_LATER = frozenset(
    {"14107", "20429", "20500", "20503", "21611", "30001", "30022", "30023", "30027", "63017", "63018"}
)
DAILY_CAP = frozenset({"30023", "30027"})  # it will work after midnight Pacific time
# The account or the number is not set up: everything else from it would fail too.
ACCOUNT = frozenset({"20003", "20005", "21606", "21703", "21704", "21705"})
OPTED_OUT = "21610"
NUMBER_GONE = "21422"
ALREADY_ATTACHED = "21710"

WORDS: dict[str, str] = {
    "11200": "The carrier could not reach this server. Check that the public address is right and online.",
    "11205": "The carrier could not connect to this server. Check that the public address is right and online.",
    "11751": "A file was too big for the carrier. Send a smaller one.",
    "12100": "The carrier could not read this server's answer to a call. Tell your administrator.",
    "12200": "The carrier could not read this server's answer to a call. Tell your administrator.",
    "12300": "The carrier could not read this server's answer. Tell your administrator.",
    "14107": "Too many texts at once. It is sent again in a moment.",
    "20003": "The carrier refused the account's credentials. An administrator must check them.",
    "20005": "The carrier account is not active. An administrator must check it.",
    "20404": "The carrier does not know this item any more.",
    "20429": "Too many requests at once. It is sent again in a moment.",
    "20500": "The carrier had a problem of its own. It is sent again in a moment.",
    "20503": "The carrier is not available. It is sent again in a moment.",
    "21211": "The number is not a phone number that can receive texts. Check the contact's number.",
    "21212": "The inbox's number is not valid for sending. An administrator must check it.",
    "21408": "Texts to this country are not turned on in the carrier account. An administrator can turn them on.",
    "21422": "Somebody else just took this number. Choose another one.",
    "21602": "The text is empty. Write something or add a file.",
    "21603": "The inbox has no number to send from. Finish setting it up.",
    "21604": "There is no number to send to. Check the contact's number.",
    "21606": "The inbox's number can't send texts. An administrator must check it.",
    "21608": "The carrier account is a trial and sends only to numbers verified with it. Upgrade the account.",
    "21609": "The carrier does not accept this server's public address. An administrator must check it.",
    "21610": "This person has opted out. They must text START before you can write to them again.",
    "21611": "Too many texts are waiting on this number. It is sent again later.",
    "21612": "The carrier has no route to this number. Try another way to reach the person.",
    "21614": "The number can't receive texts; it may be a landline. Call instead.",
    "21617": "The text is longer than 1,600 characters. Shorten it or send it in parts.",
    "21620": "The carrier could not use a file's address. Attach the file again.",
    "21623": "Too many files. A text carries 10 at most.",
    "21703": "The messaging service has no number. An administrator must add one.",
    "21704": "The messaging service has no number that can text. An administrator must add one.",
    "21705": "The messaging service does not exist. An administrator must check the set-up.",
    "21710": "The number is already part of this messaging service.",
    "21712": "The number belongs to another messaging service. Remove it there first.",
    "30001": "Too many texts are waiting. It is sent again later.",
    "30002": "The carrier account is suspended. An administrator must contact the carrier.",
    "30003": "The phone was off or out of reach. Try once more later.",
    "30004": "The phone or its carrier blocks these texts. Try another way to reach the person.",
    "30005": "The number does not exist or is out of service. Check the contact's number.",
    "30006": "The number can't receive texts; it may be a landline. Call instead.",
    "30007": "A carrier filtered the text as unwanted. Reword it and check it against your registered campaign.",
    "30008": "The carrier could not deliver it and gave no reason. Try once more later.",
    "30009": "Part of a long text never arrived. Ask the person to send it again.",
    "30011": "The carrier of this number does not take pictures or files. Send plain text.",
    "30017": "The carrier's network is congested. Try once more later.",
    "30018": "The sender must be registered with this country's carriers first. Ask your administrator.",
    "30019": "The file is too large for the person's carrier. Send a smaller one.",
    "30022": "The sending limit of your campaign was reached. It is sent again later.",
    "30023": "The daily limit of your brand was reached. It can be sent again tomorrow.",
    "30025": "Half of the daily limit with one carrier is used.",
    "30026": "Most of the daily limit with one carrier is used.",
    "30027": "The daily limit with one carrier is used up. It can be sent again tomorrow.",
    "30032": "The toll-free number is not verified yet. Finish its verification.",
    "30034": "The number is not registered with the carriers. Finish the inbox's registration.",
    "30035": "The number is still being set up with the carriers. Try again in a few hours.",
    "30036": "The text waited too long and expired. Send it again.",
    "30125": "The number could not be registered with the carriers. Ask your administrator.",
    "30410": "The carrier took too long to answer. Try once more later.",
    "30450": "The carrier stopped the text because the traffic looks like fraud. Ask your administrator.",
    "30610": "It is too late or too early where the person lives. Send it during the day.",
    "30640": "The carrier stopped the text because of who the number belongs to. Don't text this number.",
    **{code: f"{refusal.sentence} {refusal.change}" for code, refusal in REFUSALS.items() if code.isdigit()},
    "63003": "The address of the recipient is not valid. Check the contact.",
    "63005": "The channel refused the content. Change the text or the file.",
    "63013": "The channel's policy forbids this text. Change it.",
    "63016": "More than 24 hours have passed since the person wrote. Send an approved template.",
    "63017": "Too many texts at once on this channel. It is sent again later.",
    "63018": "Too many texts at once on this channel. It is sent again later.",
    "63024": "The recipient can't be reached on this channel. Try another way.",
    "63032": "The channel limits how many texts this person gets. Try again later.",
    "63033": "This person has blocked you on this channel.",
    "63036": "The phone can't be reached on this channel. Send a plain text.",
}


def explain(code: str | None) -> str:
    """What a code means and what to do about it; a code not known here is named so that it can be looked up."""
    if not code or code == "0":
        return "The carrier gave no reason. Try once more later."
    return WORDS.get(code, f"The carrier reported error {code}. Ask your administrator.")
