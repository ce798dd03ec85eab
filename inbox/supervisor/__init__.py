"""Starts, watches and stops the parts of the system: embedded Valkey, web, workers, scheduler and sandbox carrier."""
