"""What do the user's callbacks, modules and model hold, and how does it begin anew?"""
