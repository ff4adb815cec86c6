"""How random the tests are: not at all, unless `make explore` asks.

Hypothesis draws the same examples in every run, so a red test is red on every machine. Neither profile measures time: a
slow machine fails no test. `make explore` runs the same tests, with the same number of examples, from a random seed.
"""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "fixed",
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
)
settings.register_profile("explore", settings.get_profile("fixed"), derandomize=False)
settings.load_profile("fixed")
