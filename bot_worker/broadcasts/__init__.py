"""Broadcast jobs, as bot workers run them: under a lease, in the bulk lane, resumable."""
