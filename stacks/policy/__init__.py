"""Rules that every stack must meet, as a CrossGuard policy pack: `pulumi preview --policy-pack stacks/policy`.

    resource.py      what a rule is given
    at_rest.py, access.py, dead_letters.py, bounds.py   the rules, plain functions that yield complaints
    registry.py      all of them, with names and texts
    __main__.py      what Pulumi runs: the rules as policies

A rule judges one resource, or all of a stack together; it reads nothing else, so that the tests run the very same functions
over what the program would create. Importing this imports nothing else.
"""
