"""Where is the database, and how does one talk to it through outages?"""
