"""Who is best, and may one say so?"""
