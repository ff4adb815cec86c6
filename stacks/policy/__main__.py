"""The policy pack that Pulumi runs beside a preview or an update; all of it is mandatory.

It says nothing on standard output: Pulumi reads the port of the pack there.
"""

from collections.abc import Callable
from inspect import getdoc

from pulumi_policy import (
    EnforcementLevel,
    Policy,
    PolicyPack,
    PolicyResource,
    ReportViolation,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
)

from stacks.policy.registry import RULES, STACK_RULES
from stacks.policy.resource import Resource, Rule, StackRule, plain

PACK = "payments-sandbox"


def policies() -> list[Policy]:
    """The rules as Pulumi's policies."""
    of_resources: list[Policy] = [
        ResourceValidationPolicy(name, getdoc(rule) or name, _resource_validation(rule))
        for name, rule in RULES.items()
    ]
    of_stacks: list[Policy] = [
        StackValidationPolicy(name, getdoc(rule) or name, _stack_validation(rule))
        for name, rule in STACK_RULES.items()
    ]
    return of_resources + of_stacks


def _resource_validation(rule: Rule) -> Callable[[ResourceValidationArgs, ReportViolation], None]:
    def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
        resource = _resource(args)
        for complaint in rule(resource):
            report(f"{resource.name} {complaint}", None)

    return validate


def _stack_validation(rule: StackRule) -> Callable[[StackValidationArgs, ReportViolation], None]:
    def validate(args: StackValidationArgs, report: ReportViolation) -> None:
        resources = [_resource(each) for each in args.resources]
        urns = {id(resource): each.urn for resource, each in zip(resources, args.resources, strict=True)}
        for resource, complaint in rule(resources):
            report(f"{resource.name} {complaint}", urns[id(resource)])

    return validate


def _resource(args: ResourceValidationArgs | PolicyResource) -> Resource:
    # urn:pulumi:STACK::PROJECT::TYPE::NAME
    stack = args.urn.partition("::")[0].rpartition(":")[2]
    return Resource(args.resource_type, args.name, stack, plain(args.props), args.opts.protect)


if __name__ == "__main__":
    PolicyPack(PACK, policies(), enforcement_level=EnforcementLevel.MANDATORY)
