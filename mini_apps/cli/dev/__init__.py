"""The one-machine runner: every process of a deployment as a child of this one, with an embedded Valkey."""
