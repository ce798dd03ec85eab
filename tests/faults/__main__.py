"""`.venv/bin/python -m tests.faults outbox [--json] [--messages 1000] [--kills 40] [--seed N] [--database sqlite|postgresql]`."""

from __future__ import annotations

import argparse
import json
import random
import signal
import sys

from tests.faults.outbox import Report, Run

LIMIT = 600  # seconds


def main(arguments: list[str]) -> int:
    """Play one run and print what it found; 0 when nothing was lost, doubled or stuck."""
    parser = argparse.ArgumentParser(prog="tests.faults", description="Kill the parts of a running system and count what the customers got.")
    parser.add_argument("what", choices=["outbox"])
    parser.add_argument("--json", action="store_true", help="end with the figures as one line of JSON")
    parser.add_argument("--messages", type=int, default=1000)
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--limit", type=int, default=LIMIT, help="seconds after which the run is ended")
    parser.add_argument("--keep", action="store_true", help="keep the data and the log files")
    chosen = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    report = Run(chosen.database, messages=chosen.messages, kills=chosen.kills, seed=chosen.seed).go(chosen.limit, chosen.keep)
    print(told(report))
    if chosen.json:
        print(json.dumps(report.asdict()), flush=True)
    return 0 if report.passed else 1


def told(report: Report) -> str:
    """The figures in words."""
    return (
        f"{report.database}, seed {report.seed}: {report.accepted} of {report.messages} replies accepted, {report.kills} kills "
        f"({', '.join(f'{count} x {name}' for name, count in sorted(report.killed.items()))}).\n"
        f"Lost {report.lost}, doubled {report.doubled}, stuck {report.stuck}, uncertain {report.uncertain} ({report.uncertain_shown} shown to people, "
        f"{report.uncertain_but_sent} had gone out), looked up {report.looked_up}.\n"
        f"Customers' texts: {report.inbound_acknowledged} of {report.inbound} acknowledged, {report.inbound_lost} lost, {report.inbound_doubled} doubled; "
        f"{report.repeats} repeats made {report.repeats_kept}.\n"
        f"{report.seconds} s. {'Passed.' if report.passed else 'FAILED. ' + report.problem}"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
