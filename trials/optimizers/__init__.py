"""How does a configuration become an optimizer?"""
