"""Alembic revisions of the schema optselect."""
