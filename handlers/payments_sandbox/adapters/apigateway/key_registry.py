"""`ApiKeyRegistry` by API Gateway's own keys: one for each key of an account, under the usage plan of the account's plan.

A key is called by its public id there. API Gateway takes some seconds to tell all its servers of a new key; until then
they refuse it.

Source: the API Gateway API (CreateApiKey, CreateUsagePlanKey, DeleteApiKey).
"""

from collections.abc import Mapping
from typing import Final

from payments_sandbox.adapters.apigateway.client import GatewayClient
from payments_sandbox.adapters.outages import error_code, outages_translated

_SERVICE: Final = "The gateway that has to know API keys"

_OUTAGES: Final = frozenset(
    {
        # A change of something else is under way; also a key whose making was repeated after a lost answer.
        "ConflictException",
        "InternalFailure",
        "RequestTimeout",
        "RequestTimeoutException",
        "ServiceUnavailable",
        "ServiceUnavailableException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
"""Error codes that say something about the service. The others are this program's or its deployment's fault, as is the
`LimitExceededException` of an AWS account that has as many keys as it may have."""


class GatewayKeyRegistry:
    """The usage plans `usage_plans`: API Gateway's ids by plan.

    Both methods raise StoreUnavailable when API Gateway cannot be reached or refuses for load; anything else raises boto3's
    own error, since trying again would not help.
    """

    def __init__(self, client: GatewayClient, usage_plans: Mapping[str, str]) -> None:
        self._client = client
        self._usage_plans = dict(usage_plans)

    def register(self, key_id: str, secret: str, plan: str) -> str:
        """See the port."""
        usage_plan = self._usage_plans[plan]
        with outages_translated(_OUTAGES, _SERVICE):
            gateway_key_id: str = self._client.create_api_key(name=key_id, value=secret, enabled=True)["id"]
        try:
            with outages_translated(_OUTAGES, _SERVICE):
                self._client.create_usage_plan_key(
                    usagePlanId=usage_plan, keyId=gateway_key_id, keyType="API_KEY"
                )
        except BaseException:
            self.withdraw(gateway_key_id)
            raise
        return gateway_key_id

    def withdraw(self, gateway_key_id: str) -> None:
        """See the port."""
        from botocore.exceptions import ClientError

        try:
            with outages_translated(_OUTAGES, _SERVICE):
                self._client.delete_api_key(apiKey=gateway_key_id)
        except ClientError as error:
            if error_code(error) != "NotFoundException":
                raise
