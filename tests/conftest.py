"""No time limit on one example: the machine may be busy, and kernels load at the first call."""

from hypothesis import settings

settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")
