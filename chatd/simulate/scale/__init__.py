"""Many realms on virtual time, to measure what grows with their number (docs/simulation.md, "Scale")."""
