"""Adapters: the ports, on AWS and in memory. Vendors' errors end here."""
