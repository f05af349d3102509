"""The churn run: clients that come and go all the time, nodes that die and stop, and not one message lost."""
