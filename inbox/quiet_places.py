"""Where in the United States an area code or a ZIP code is, and which clocks go there: tables."""

from __future__ import annotations

_AREA_CODES = {
    "AK": "907",
    "AL": "205 251 256 334 659 938",
    "AR": "327 479 501 870",
    "AZ": "480 520 602 623 928",
    "CA": "209 213 279 310 323 341 350 369 408 415 424 442 510 530 559 562 619 626 628 650 657 661 669 707 714 738 747 760 805 818 820 831 840 858 909 916 925 949 951",
    "CO": "303 719 720 748 970 983",
    "CT": "203 475 860 959",
    "DC": "202 771",
    "DE": "302",
    "FL": "239 305 321 324 352 386 407 448 561 645 656 689 727 728 754 772 786 813 850 863 904 941 954",
    "GA": "229 404 470 478 678 706 762 770 912 943",
    "HI": "808",
    "IA": "319 515 563 641 712",
    "ID": "208 986",
    "IL": "217 224 309 312 331 447 464 618 630 708 730 773 779 815 847 872",
    "IN": "219 260 317 463 574 765 812 930",
    "KS": "316 620 785 913",
    "KY": "270 364 502 606 859",
    "LA": "225 318 337 504 985",
    "MA": "339 351 413 508 617 774 781 857 978",
    "MD": "227 240 301 410 443 667",
    "ME": "207",
    "MI": "231 248 269 313 517 586 616 734 810 906 947 989",
    "MN": "218 320 507 612 651 763 952",
    "MO": "235 314 417 557 573 636 660 816 975",
    "MS": "228 471 601 662 769",
    "MT": "406",
    "NC": "252 336 472 704 743 828 910 919 980 984",
    "ND": "701",
    "NE": "308 402 531",
    "NH": "603",
    "NJ": "201 551 609 640 732 848 856 862 908 973",
    "NM": "505 575",
    "NV": "702 725 775",
    "NY": "212 315 329 332 347 363 516 518 585 607 631 646 680 716 718 838 845 914 917 929 934",
    "OH": "216 220 234 283 326 330 380 419 436 440 513 567 614 740 937",
    "OK": "405 539 572 580 918",
    "OR": "458 503 541 971",
    "PA": "215 223 267 272 412 445 484 570 582 610 717 724 814 835 878",
    "RI": "401",
    "SC": "803 821 839 843 854 864",
    "SD": "605",
    "TN": "423 615 629 731 865 901 931",
    "TX": "210 214 254 281 325 346 361 409 430 432 469 512 621 682 713 726 737 806 817 830 832 903 915 936 940 945 956 972 979",
    "UT": "385 435 801",
    "VA": "276 434 540 571 686 703 757 804 826 948",
    "VT": "802",
    "WA": "206 253 360 425 509 564",
    "WI": "262 274 353 414 534 608 715 920",
    "WV": "304 681",
    "WY": "307",
}
STATE_OF_AREA_CODE = {code: state for state, codes in _AREA_CODES.items() for code in codes.split()}

# The first three digits of ZIP codes, first and last; military mail has no place.
_ZIPS = (
    "005-005 NY 006-007 PR 008-008 VI 009-009 PR 010-027 MA 028-029 RI 030-038 NH 039-049 ME 050-054 VT 055-055 MA 056-059 VT 060-062 CT 063-063 CT/NY 064-069 CT "
    "070-089 NJ 100-149 NY 150-196 PA 197-199 DE 200-200 DC 201-201 VA 202-205 DC 206-219 MD 220-246 VA 247-268 WV 270-289 NC 290-299 SC 300-319 GA 320-339 FL 341-349 FL "
    "350-369 AL 370-385 TN 386-397 MS 398-399 GA 400-427 KY 430-459 OH 460-479 IN 480-499 MI 500-528 IA 530-549 WI 550-567 MN 569-569 DC 570-577 SD 580-588 ND "
    "590-599 MT 600-629 IL 630-658 MO 660-679 KS 680-693 NE 700-714 LA 716-729 AR 730-732 OK 733-733 TX 734-749 OK 750-799 TX 800-816 CO 820-831 WY 832-838 ID 840-847 UT "
    "850-865 AZ 870-884 NM 885-885 TX 889-898 NV 900-961 CA 967-968 HI 969-969 GU 970-979 OR 980-994 WA 995-999 AK"
)


def _each(keys: str, zones: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
    return dict.fromkeys(keys.split(), zones)


_EASTERN, _CENTRAL, _MOUNTAIN, _PACIFIC = "America/New_York", "America/Chicago", "America/Denver", "America/Los_Angeles"
_STATE_ZONES: dict[str, tuple[str, ...]] = {
    **_each("CT DC DE FL GA IN MA MD ME MI NC NH NJ NY OH PA RI SC VA VT WV", (_EASTERN,)),
    **_each("AL AR IA IL LA MN MO MS OK TN TX WI ND SD NE KS", (_CENTRAL,)),
    **_each("CO MT NM UT WY ID", (_MOUNTAIN,)),
    **_each("CA NV OR WA", (_PACIFIC,)),
    "KY": (_EASTERN, _CENTRAL), "AZ": ("America/Phoenix",), "AK": ("America/Anchorage",), "HI": ("Pacific/Honolulu",), "PR": ("America/Puerto_Rico",),
    "VI": ("America/Puerto_Rico",), "GU": ("Pacific/Guam", "Pacific/Palau", "Pacific/Pohnpei", "Pacific/Majuro"),
}
# Where a state's border between clocks runs through, or beyond it.
_ZIP_ZONES: dict[str, tuple[str, ...]] = {
    **_each("324 368 373 465 475 476 479 498 499", (_EASTERN, _CENTRAL)),
    **_each("325 463 464 477", (_CENTRAL,)),
    **_each("374 376 377 378 379", (_EASTERN,)),
    **_each("575 576 585 586 677 678 690 691 692 798", (_CENTRAL, _MOUNTAIN)),
    **_each("577 693 799 885", (_MOUNTAIN,)),
    **_each("835 898 979", (_MOUNTAIN, _PACIFIC)),
    "838": (_PACIFIC,), "860": ("America/Phoenix", _MOUNTAIN), "865": ("America/Phoenix", _MOUNTAIN),
    "967": ("Pacific/Honolulu", "Pacific/Pago_Pago"), "995": ("America/Anchorage", "America/Adak"),
}


def _spread() -> dict[str, str]:
    found = {}
    for span, states in zip(_ZIPS.split()[::2], _ZIPS.split()[1::2], strict=True):
        first, last = span.split("-")
        found.update({f"{number:03}": states for number in range(int(first), int(last) + 1)})
    return found


_STATE_OF_ZIP = _spread()


def zip_states(postal: str) -> tuple[str, ...]:
    """The state of a ZIP or ZIP+4 code, rarely two; empty for anything else."""
    return tuple(_STATE_OF_ZIP.get(postal[:3], "").split("/")) if _is_zip(postal) and postal[:3] in _STATE_OF_ZIP else ()


def zip_zones(postal: str) -> tuple[str, ...]:
    """The zones a ZIP code may be in; empty when it is none."""
    states = zip_states(postal)
    return _ZIP_ZONES.get(postal[:3]) or _STATE_ZONES[states[0]] if states else ()


def _is_zip(postal: str) -> bool:
    return postal[:5].isascii() and postal[:5].isdigit() and len(postal[:5]) == 5 and (len(postal) == 5 or postal[5] in "- ")
