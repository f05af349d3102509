"""What a failover loses: writes that replicas confirmed and writes that they did not, counted apart."""
