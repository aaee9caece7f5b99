"""What does a trial cost, beside what it would cost elsewhere? Commands that measure; nothing here is installed."""
