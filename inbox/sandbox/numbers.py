"""The carrier's stock of numbers: the same for everyone, every time."""

from __future__ import annotations

import random
import re
import zlib
from collections.abc import Iterator
from typing import NamedTuple

AREA_CODES: dict[str, tuple[str, str]] = {
    "201": ("Jersey City", "NJ"), "202": ("Washington", "DC"), "203": ("New Haven", "CT"), "205": ("Birmingham", "AL"),
    "206": ("Seattle", "WA"), "207": ("Portland", "ME"), "208": ("Boise", "ID"), "209": ("Stockton", "CA"),
    "210": ("San Antonio", "TX"), "212": ("New York", "NY"), "213": ("Los Angeles", "CA"), "214": ("Dallas", "TX"),
    "215": ("Philadelphia", "PA"), "216": ("Cleveland", "OH"),
    "225": ("Baton Rouge", "LA"), "239": ("Fort Myers", "FL"),
    "240": ("Rockville", "MD"), "248": ("Troy", "MI"), "251": ("Mobile", "AL"), "253": ("Tacoma", "WA"),
    "262": ("Kenosha", "WI"),
    "267": ("Philadelphia", "PA"), "281": ("Houston", "TX"), "301": ("Silver Spring", "MD"),
    "302": ("Wilmington", "DE"), "303": ("Denver", "CO"), "304": ("Charleston", "WV"), "305": ("Miami", "FL"),
    "307": ("Cheyenne", "WY"), "310": ("Santa Monica", "CA"), "312": ("Chicago", "IL"), "313": ("Detroit", "MI"),
    "314": ("Saint Louis", "MO"), "315": ("Syracuse", "NY"), "316": ("Wichita", "KS"), "317": ("Indianapolis", "IN"),
    "321": ("Orlando", "FL"), "323": ("Los Angeles", "CA"), "330": ("Akron", "OH"), "336": ("Greensboro", "NC"),
    "347": ("New York", "NY"), "360": ("Vancouver", "WA"), "385": ("Salt Lake City", "UT"), "401": ("Providence", "RI"),
    "402": ("Omaha", "NE"), "404": ("Atlanta", "GA"), "405": ("Oklahoma City", "OK"), "406": ("Billings", "MT"),
    "407": ("Orlando", "FL"), "408": ("San Jose", "CA"), "410": ("Baltimore", "MD"), "412": ("Pittsburgh", "PA"),
    "413": ("Springfield", "MA"), "414": ("Milwaukee", "WI"), "415": ("San Francisco", "CA"),
    "424": ("Inglewood", "CA"),
    "425": ("Bellevue", "WA"), "469": ("Dallas", "TX"), "470": ("Atlanta", "GA"), "480": ("Scottsdale", "AZ"),
    "501": ("Little Rock", "AR"), "502": ("Louisville", "KY"), "503": ("Portland", "OR"), "504": ("New Orleans", "LA"),
    "505": ("Albuquerque", "NM"), "509": ("Spokane", "WA"), "510": ("Oakland", "CA"), "512": ("Austin", "TX"),
    "513": ("Cincinnati", "OH"), "515": ("Des Moines", "IA"), "516": ("Hempstead", "NY"), "520": ("Tucson", "AZ"),
    "530": ("Redding", "CA"), "551": ("Jersey City", "NJ"), "559": ("Fresno", "CA"), "561": ("West Palm Beach", "FL"),
    "562": ("Long Beach", "CA"), "585": ("Rochester", "NY"), "601": ("Jackson", "MS"), "602": ("Phoenix", "AZ"),
    "603": ("Manchester", "NH"), "605": ("Sioux Falls", "SD"), "608": ("Madison", "WI"), "612": ("Minneapolis", "MN"),
    "614": ("Columbus", "OH"), "615": ("Nashville", "TN"), "616": ("Grand Rapids", "MI"), "617": ("Boston", "MA"),
    "619": ("San Diego", "CA"), "623": ("Glendale", "AZ"), "626": ("Pasadena", "CA"), "628": ("San Francisco", "CA"),
    "646": ("New York", "NY"), "650": ("San Mateo", "CA"), "651": ("Saint Paul", "MN"), "657": ("Anaheim", "CA"),
    "678": ("Atlanta", "GA"), "701": ("Fargo", "ND"), "702": ("Las Vegas", "NV"), "703": ("Arlington", "VA"),
    "704": ("Charlotte", "NC"), "706": ("Augusta", "GA"), "707": ("Santa Rosa", "CA"), "713": ("Houston", "TX"),
    "714": ("Anaheim", "CA"), "716": ("Buffalo", "NY"), "718": ("New York", "NY"), "719": ("Colorado Springs", "CO"),
    "720": ("Denver", "CO"), "727": ("Saint Petersburg", "FL"), "732": ("New Brunswick", "NJ"),
    "734": ("Ann Arbor", "MI"), "737": ("Austin", "TX"), "757": ("Norfolk", "VA"), "770": ("Marietta", "GA"),
    "773": ("Chicago", "IL"), "775": ("Reno", "NV"), "781": ("Waltham", "MA"), "786": ("Miami", "FL"),
    "801": ("Salt Lake City", "UT"), "802": ("Burlington", "VT"), "803": ("Columbia", "SC"), "804": ("Richmond", "VA"),
    "805": ("Santa Barbara", "CA"), "808": ("Honolulu", "HI"), "810": ("Flint", "MI"), "813": ("Tampa", "FL"),
    "816": ("Kansas City", "MO"), "817": ("Fort Worth", "TX"), "818": ("Burbank", "CA"), "831": ("Salinas", "CA"),
    "832": ("Houston", "TX"), "847": ("Evanston", "IL"), "858": ("San Diego", "CA"), "860": ("Hartford", "CT"),
    "864": ("Greenville", "SC"), "901": ("Memphis", "TN"), "904": ("Jacksonville", "FL"), "907": ("Anchorage", "AK"),
    "909": ("Riverside", "CA"), "913": ("Overland Park", "KS"), "915": ("El Paso", "TX"), "916": ("Sacramento", "CA"),
    "917": ("New York", "NY"), "918": ("Tulsa", "OK"), "919": ("Raleigh", "NC"), "925": ("Concord", "CA"),
    "929": ("New York", "NY"), "937": ("Dayton", "OH"), "941": ("Sarasota", "FL"), "949": ("Irvine", "CA"),
    "954": ("Fort Lauderdale", "FL"), "971": ("Portland", "OR"), "972": ("Dallas", "TX"), "973": ("Newark", "NJ"),
    "978": ("Lowell", "MA"), "980": ("Charlotte", "NC"),
}
TOLL_FREE_CODES = ("888", "877", "866", "855", "844", "833", "800")
LINES = 12  # numbers in stock per exchange
_KEYPAD = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "22233344455566677778889999")
# Exchanges the numbering plan keeps out of use in an area code.
_FIRST_DIGITS = {"505": "234579"}


class Place(NamedTuple):
    city: str
    state: str


def place_of(number: str) -> Place | None:
    """Where a +1 number is at home; None outside the table."""
    found = AREA_CODES.get(number[2:5]) if number.startswith("+1") and len(number) == 12 else None
    return Place(*found) if found else None


def friendly(number: str) -> str:
    if re.fullmatch(r"\+1\d{10}", number):
        return f"({number[2:5]}) {number[5:8]}-{number[8:]}"
    return number


def _exchanges(area: str) -> list[str]:
    """About one exchange in three, never an N11 code nor the fictional 555, in an order that looks unsorted."""
    first = _FIRST_DIGITS.get(area, "23456789")
    usable = [
        str(exchange)
        for exchange in range(200, 1000)
        if str(exchange)[0] in first and str(exchange)[1:] != "11" and exchange != 555
        and zlib.crc32(f"{area}{exchange}".encode()) % 3 == 0
    ]
    random.Random(int(area)).shuffle(usable)  # noqa: S311 - the same stock every time, not a secret
    return usable


def _lines(area: str, exchange: str) -> list[str]:
    draw = random.Random(int(area + exchange))  # noqa: S311 - as above
    return [f"{number:04d}" for number in draw.sample(range(1000, 10_000), LINES)]


def stock(area: str) -> Iterator[str]:
    """Every number the carrier has in an area code, exchanges taking turns."""
    rows = [(exchange, _lines(area, exchange)) for exchange in _exchanges(area)]
    for turn in range(LINES):
        for exchange, lines in rows:
            yield f"+1{area}{exchange}{lines[turn]}"


def pattern(contains: str) -> re.Pattern[str] | None:
    """Twilio's Contains as an expression over the digits; None when it is malformed.

    `*` stands for one digit, `%` for any run of digits, a leading + pins the start, a trailing $ the end.
    """
    text = contains.strip().upper().translate(_KEYPAD)
    start, end = text.startswith("+"), text.endswith("$")
    core = re.sub(r"[\s().\-]", "", text.removeprefix("+").removesuffix("$"))
    if not 2 <= len(core) <= 16 or not re.fullmatch(r"[0-9*%]+", core) or len(re.findall(r"\d", core)) < 2:
        return None
    expression = core.replace("*", r"\d").replace("%", r"\d*")
    if not start and len(core) >= 10 and "%" not in core and not core.startswith("1"):
        start, expression = True, "1" + expression  # a whole national number begins after the country code
    return re.compile(("^" if start else "") + expression + ("$" if end else ""))


def search(codes: list[str], contains: str, taken: set[str], limit: int) -> list[str] | None:
    """Free numbers in these area codes that fit; None for a malformed pattern."""
    wanted = pattern(contains) if contains else None
    if contains and wanted is None:
        return None
    found: list[str] = []
    for code in codes:
        for number in stock(code):
            if number not in taken and (wanted is None or wanted.search(number[1:])):
                found.append(number)
                if len(found) >= limit:
                    return found
    return found


def can_be_bought(number: str) -> bool:
    return bool(re.fullmatch(r"\+1\d{3}[2-9]\d{6}", number)) and number[2:5] in (*AREA_CODES, *TOLL_FREE_CODES)
