"""The bytes of attachments: receiving, storing and sending them, and the free space of the disk."""
