"""What a client can ask: values, argument types, the table of commands, and their handlers."""
