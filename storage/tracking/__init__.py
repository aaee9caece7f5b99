"""How do curves reach MLflow, and who may see them?"""
