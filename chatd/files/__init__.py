"""The bytes of attachments, and the space they take on the disk."""
