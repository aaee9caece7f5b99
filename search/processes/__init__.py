"""How do processes stay alive on this machine?"""
