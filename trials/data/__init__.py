"""Which rows are trained, in which order, kept where?"""
