"""The tests. What is open-ended is tried with hypothesis; how fast that goes says more of the machine, and
of who else uses it, than of the code."""

from hypothesis import HealthCheck, settings

settings.register_profile("chatd", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("chatd")
