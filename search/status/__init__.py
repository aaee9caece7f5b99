"""How far is a study, and how long will it take still?"""
