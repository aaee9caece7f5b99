"""How is a study made, served, joined, paused, deleted, and how does MLflow get what it lacks?"""
