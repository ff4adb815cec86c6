"""The policy pack that Pulumi runs beside a preview or an update; all of it is mandatory.

It says nothing on standard output: Pulumi reads the port of the pack there.
"""

from collections.abc import Callable
from inspect import getdoc

import pulumi
from pulumi_policy import (
    EnforcementLevel,
    Policy,
    PolicyPack,
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
        resource = Resource(
            args.resource_type, args.name, pulumi.get_stack(), plain(args.props), args.opts.protect
        )
        for complaint in rule(resource):
            report(f"{resource.name} {complaint}", None)

    return validate


def _stack_validation(rule: StackRule) -> Callable[[StackValidationArgs, ReportViolation], None]:
    def validate(args: StackValidationArgs, report: ReportViolation) -> None:
        stack = pulumi.get_stack()
        urns: dict[int, str] = {}
        resources = []
        for each in args.resources:
            resource = Resource(each.resource_type, each.name, stack, plain(each.props), each.opts.protect)
            urns[id(resource)] = each.urn
            resources.append(resource)
        for resource, complaint in rule(resources):
            report(f"{resource.name} {complaint}", urns[id(resource)])

    return validate


if __name__ == "__main__":
    PolicyPack(PACK, policies(), enforcement_level=EnforcementLevel.MANDATORY)
