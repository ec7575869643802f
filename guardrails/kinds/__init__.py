"""What personal data looks like, kind by kind: patterns, check digits and the words that stand near by."""
