"""What workers and the scheduler do: one module per job, named like its function."""
