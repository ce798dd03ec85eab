"""The whole system under kill -9: `.venv/bin/python -m tests.faults outbox`."""
