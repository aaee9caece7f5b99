"""How is a study made, served, joined, and whose code is it?"""
