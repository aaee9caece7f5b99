"""What to try and what was found: reads from cli.py to launching.py, worker.py and space.py."""
