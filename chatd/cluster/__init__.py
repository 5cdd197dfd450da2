"""Several nodes that serve one realm: who they are, what one at a time may do, and the bus between them."""
