"""The commands by what they are for: each reads its options and calls one function of the folder above.

Every command imports what it runs inside its function: --help, completion and a typing error load neither
TensorFlow, MLflow, SQLAlchemy nor Optuna.
"""
