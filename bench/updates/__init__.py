"""The proof that no update is lost, repeated after its acknowledgement or out of order, whatever is killed."""
