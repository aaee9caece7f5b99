"""How is one configuration trained?"""
