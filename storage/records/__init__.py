"""What is known of studies, tickets, workers, curves and files?"""
