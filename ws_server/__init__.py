"""WebSocket nodes: logins, messages, channels. Any number of them; each holds nothing but its own sockets."""
