"""How fast updates come in and are worked off, beside aiogram's own webhook handler and dispatcher."""
