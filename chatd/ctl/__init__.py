"""chatctl: runs a realm from the command line of its machine.

Its subcommands are the rows of the command table whose verbs begin with `admin`. It sends them to the running
realm over the control socket. A few work while the realm is stopped, on its state folder.
"""
