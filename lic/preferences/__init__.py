"""Preferences of machines and people: PCMP built, metrics fitted to it, and measured against it and public sets."""
