"""How worker processes are placed and kept alive; local.py is the reference."""
