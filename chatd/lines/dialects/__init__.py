"""The dialects of the line protocol, one module each, and what several of them share."""
