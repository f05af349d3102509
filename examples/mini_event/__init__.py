"""Events that people attend: a database, pictures, inline mode, and a notice when one starts."""
