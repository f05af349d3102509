"""Everything that can go wrong, one fault after the other, under a steady load that checks every promise."""
