"""What must survive: studies, tickets, curves and checkpoints in Postgres, and their copy in MLflow.

Read database.py (where), studies.py and tickets.py (what), curves.py and tracking.py (the curves).
"""
