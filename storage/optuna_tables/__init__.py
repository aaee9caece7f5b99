"""How do Optuna's own tables live in our database?"""
