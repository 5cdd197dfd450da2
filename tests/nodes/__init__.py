"""Real nodes of one realm, with faults: `python -m tests.nodes --seed 1 --faults 50`.

Several daemons serve one realm on a PostgreSQL server with a standby, and another realm is their peer.
Clients write, change, read and listen through random nodes, while processes are killed and stopped,
connections are cut and held up, and servers are lost. Then everything is healed, and what clients were told
is compared with the logs of the conversations.
"""
