"""ChatService and what it holds: accounts, groups, messages, files, rooms."""
