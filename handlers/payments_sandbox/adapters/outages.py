"""AWS's outages as StoreUnavailable, for the adapters of its services that are called now and then.

botocore is imported when it is first needed: a function that only takes payments must not pay for it at its start. The
ledger's own adapter has a cheaper form, as it is entered for every request.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager

from payments_sandbox.domain.errors import StoreUnavailable


@contextmanager
def outages_translated(codes: Collection[str], service: str) -> Iterator[None]:
    """Turn throttling, server errors, timeouts and lost connections into StoreUnavailable, and nothing else.

    codes: the error codes that say something about the service. service: what cannot be used then, in words.
    """
    from botocore.exceptions import ClientError, HTTPClientError
    from botocore.exceptions import ConnectionError as BotoConnectionError

    try:
        yield
    except ClientError as error:
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if error_code(error) in codes or status >= 500:
            raise _unavailable(service, error_code(error)) from error
        raise
    except (BotoConnectionError, HTTPClientError) as error:
        raise _unavailable(service, type(error).__name__) from error


def error_code(error: Exception) -> str:
    """The code of a `ClientError`; empty where it has none."""
    return str(getattr(error, "response", {}).get("Error", {}).get("Code", ""))


def _unavailable(service: str, reason: str) -> StoreUnavailable:
    return StoreUnavailable(f"{service} cannot be used: {reason}.")
