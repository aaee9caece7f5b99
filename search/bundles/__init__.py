"""Which code and files does a study train, and may they run here?"""
