"""What may be written into logs: no customer's number or address, whoever writes the line."""

from __future__ import annotations

import logging
from typing import Any

from inbox import personal

_plain = logging.getLogRecordFactory()
_formatter = logging.Formatter()


def _record(*args: Any, **kwargs: Any) -> logging.LogRecord:
    """A record whose words, and whose traceback's words, are covered."""
    record = _plain(*args, **kwargs)
    try:
        said = record.getMessage()
    except (TypeError, ValueError, KeyError):  # words that do not fit their arguments: the handler says so
        return record
    covered = personal.covered(said, sure=True)
    if covered != said:
        record.msg, record.args = covered, ()
    if record.exc_info and record.exc_info[0] is not None:
        record.exc_text = personal.covered(_formatter.formatException(record.exc_info), sure=True)
    return record


def keep_personal_data_out() -> None:
    """From now on, for every logger of the process."""
    logging.setLogRecordFactory(_record)
