"""Federation: exchanges messages, files and group changes with other realms, on top of the service."""
