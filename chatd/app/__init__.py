"""The program: assembling a realm, its state folder and doors, signals and logs, and the operator's tools."""
