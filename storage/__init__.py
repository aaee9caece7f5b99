"""What must survive: studies, tickets, curves and checkpoints in Postgres, and their copy in MLflow.

server says where the database is and how one talks to it through outages; on it stand records (studies, tickets, curves,
files), optuna_tables (Optuna's own tables), schema (who makes the tables, and their backup) and tracking (MLflow).
"""
