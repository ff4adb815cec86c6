"""Lambda functions, who may invoke them, and what does.

The archive that the program is configured with is deployed as it is; here that is the one of `function_package.py`, for
this machine's Python. So the runtime is replaced by one that takes a Python along. All else is the program's own.
"""

from pathlib import Path
from typing import Any

from pulumi import FileArchive

from tests.e2e.infra.aws.cloud import Cloud, Created
from tests.e2e.infra.aws.inputs import Inputs, InputsFailed

RUNTIME = "provided.al2023"


def create_function(cloud: Cloud, inputs: Inputs) -> Created:
    client = cloud.client("lambda")
    name = inputs.physical_name()
    require_python(inputs)
    request: dict[str, Any] = {
        "FunctionName": name,
        "Role": inputs["role"],
        "Handler": inputs["handler"],
        "Runtime": RUNTIME,
        "Architectures": inputs.get("architectures", default=["x86_64"]),
        "Code": {"ZipFile": archive_of(inputs)},
        "Tags": cloud.tags(inputs),
        **inputs.pick(
            timeout="Timeout",
            memorySize="MemorySize",
            description="Description",
            kmsKeyArn="KMSKeyArn",
            publish="Publish",
        ),
    }
    environment = inputs.block("environment")
    if environment is not None:
        request["Environment"] = environment.pick(variables="Variables")
    dead_letters = inputs.block("deadLetterConfig")
    if dead_letters is not None:
        request["DeadLetterConfig"] = dead_letters.pick(targetArn="TargetArn")
    tracing = inputs.block("tracingConfig")
    if tracing is not None:
        request["TracingConfig"] = tracing.pick(mode="Mode")
    logging = inputs.block("loggingConfig")
    if logging is not None:
        request["LoggingConfig"] = logging.pick(
            logFormat="LogFormat",
            logGroup="LogGroup",
            applicationLogLevel="ApplicationLogLevel",
            systemLogLevel="SystemLogLevel",
        )
    inputs.set_aside("the emulator's own runtime has no snapshots", "snapStart")
    made = client.create_function(**request)
    client.get_waiter("function_active_v2").wait(FunctionName=name, WaiterConfig={"Delay": 1})
    reserved = inputs.get("reservedConcurrentExecutions")
    if reserved is not None and reserved >= 0:
        client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=reserved)
    arn = made["FunctionArn"]
    return Created(
        name,
        {
            "name": name,
            "arn": arn,
            "invokeArn": invoke_arn(cloud, arn),
            "version": made["Version"],
            "qualifiedArn": f"{arn}:{made['Version']}",
            "qualifiedInvokeArn": invoke_arn(cloud, f"{arn}:{made['Version']}"),
            "tagsAll": cloud.tags(inputs),
        },
    )


def require_python(inputs: Inputs) -> None:
    """Only a runtime that this machine's Python can stand in for is replaced. Raises InputsFailed."""
    runtime = inputs["runtime"]
    if not runtime.startswith("python3."):
        raise InputsFailed(f"{inputs.name} runs on {runtime}, and not on Python")


def archive_of(inputs: Inputs) -> bytes:
    """The zip file that the program names. Raises InputsFailed when it is given the code in another way."""
    code = inputs["code"]
    inputs.set_aside("nothing is deployed twice", "sourceCodeHash")
    if not isinstance(code, FileArchive) or not code.path.endswith(".zip"):
        raise InputsFailed(f"the code of {inputs.name} is not a zip file")
    return Path(code.path).read_bytes()


def invoke_arn(cloud: Cloud, function_arn: str) -> str:
    """What API Gateway calls a function by."""
    return f"arn:aws:apigateway:{cloud.region}:lambda:path/2015-03-31/functions/{function_arn}/invocations"


def create_alias(cloud: Cloud, inputs: Inputs) -> Created:
    name, function = inputs.physical_name(), inputs["functionName"]
    arn = cloud.client("lambda").create_alias(
        FunctionName=function,
        Name=name,
        FunctionVersion=inputs["functionVersion"],
        **inputs.pick(description="Description"),
    )["AliasArn"]
    return Created(f"{function}/{name}", {"name": name, "arn": arn, "invokeArn": invoke_arn(cloud, arn)})


def set_provisioned_concurrency(cloud: Cloud, inputs: Inputs) -> Created:
    function, qualifier = inputs["functionName"], inputs["qualifier"]
    cloud.client("lambda").put_provisioned_concurrency_config(
        FunctionName=function,
        Qualifier=qualifier,
        ProvisionedConcurrentExecutions=inputs["provisionedConcurrentExecutions"],
    )
    return Created(f"{function},{qualifier}")


def add_permission(cloud: Cloud, inputs: Inputs) -> Created:
    statement = inputs.get("statementId") or inputs.name
    cloud.client("lambda").add_permission(
        FunctionName=inputs["function"],
        StatementId=statement,
        Action=inputs["action"],
        Principal=inputs["principal"],
        **inputs.pick(sourceArn="SourceArn", sourceAccount="SourceAccount", qualifier="Qualifier"),
    )
    return Created(statement, {"statementId": statement})


def create_event_source_mapping(cloud: Cloud, inputs: Inputs) -> Created:
    request = inputs.pick(
        functionName="FunctionName",
        eventSourceArn="EventSourceArn",
        enabled="Enabled",
        batchSize="BatchSize",
        startingPosition="StartingPosition",
        functionResponseTypes="FunctionResponseTypes",
        maximumBatchingWindowInSeconds="MaximumBatchingWindowInSeconds",
        maximumRecordAgeInSeconds="MaximumRecordAgeInSeconds",
        maximumRetryAttempts="MaximumRetryAttempts",
        bisectBatchOnFunctionError="BisectBatchOnFunctionError",
        parallelizationFactor="ParallelizationFactor",
    )
    destination = inputs.block("destinationConfig")
    failures = destination and destination.block("onFailure")
    if failures:
        request["DestinationConfig"] = {"OnFailure": {"Destination": failures["destinationArn"]}}
    criteria = inputs.block("filterCriteria")
    if criteria is not None:
        request["FilterCriteria"] = {
            "Filters": [{"Pattern": one.json_text("pattern")} for one in criteria.blocks("filters")]
        }
    scaling = inputs.block("scalingConfig")
    if scaling is not None:
        request["ScalingConfig"] = scaling.pick(maximumConcurrency="MaximumConcurrency")
    metrics = inputs.block("metricsConfig")
    if metrics is not None:
        request["MetricsConfig"] = metrics.pick(metrics="Metrics")
    made = cloud.client("lambda").create_event_source_mapping(Tags=cloud.tags(inputs), **request)
    outputs = {"uuid": made["UUID"], "functionArn": made["FunctionArn"], "state": made["State"]}
    arn = cloud.arn("lambda", f"event-source-mapping:{made['UUID']}")
    return Created(made["UUID"], {**outputs, "arn": arn, "tagsAll": cloud.tags(inputs)})


def configure_asynchronous_invocations(cloud: Cloud, inputs: Inputs) -> Created:
    request = inputs.pick(
        functionName="FunctionName",
        qualifier="Qualifier",
        maximumRetryAttempts="MaximumRetryAttempts",
        maximumEventAgeInSeconds="MaximumEventAgeInSeconds",
    )
    destinations = inputs.block("destinationConfig")
    if destinations is not None:
        request["DestinationConfig"] = {
            theirs: {"Destination": one["destination"]}
            for ours, theirs in (("onFailure", "OnFailure"), ("onSuccess", "OnSuccess"))
            if (one := destinations.block(ours)) is not None
        }
    cloud.client("lambda").put_function_event_invoke_config(**request)
    return Created(request["FunctionName"])


MAPPINGS = {
    "aws:lambda/function:Function": create_function,
    "aws:lambda/alias:Alias": create_alias,
    "aws:lambda/provisionedConcurrencyConfig:ProvisionedConcurrencyConfig": set_provisioned_concurrency,
    "aws:lambda/permission:Permission": add_permission,
    "aws:lambda/eventSourceMapping:EventSourceMapping": create_event_source_mapping,
    "aws:lambda/functionEventInvokeConfig:FunctionEventInvokeConfig": configure_asynchronous_invocations,
}
