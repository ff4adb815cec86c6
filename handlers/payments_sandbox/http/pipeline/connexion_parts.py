"""The parts of Connexion 3.3 that the sandbox builds on: the one place that imports it.

Connexion ships without types; `connexion_parts.pyi` declares those of the parts below, as far as they are used.

It imports the test client of Starlette and a part of jsonschema, which warn about their own futures. Nobody here uses
them, so people who start the sandbox are spared. `entrypoints/lean_imports.py` keeps the imports themselves out of Lambda.
"""

import warnings

with warnings.catch_warnings():
    warnings.simplefilter("ignore", category=UserWarning)
    warnings.simplefilter("ignore", category=DeprecationWarning)
    from connexion.middleware import ConnexionMiddleware
    from connexion.middleware.main import API
    from connexion.middleware.routing import RoutingAPI, RoutingMiddleware
    from connexion.resolver import Resolver
    from connexion.spec import OpenAPISpecification

__all__ = [
    "API",
    "ConnexionMiddleware",
    "OpenAPISpecification",
    "Resolver",
    "RoutingAPI",
    "RoutingMiddleware",
]
