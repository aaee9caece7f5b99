"""Which tables are there, who makes them, and how do they come to another server?"""
