"""How is a verdict said, drawn and exported?"""
