"""What every process needs: init data, filters, messages, codec, settings, broker, bus, streams."""
