"""Every rule by the name that Pulumi reports it under. A rule's description is its docstring."""

from typing import Final

from stacks.policy.access import allows_no_wildcard_on_everything, is_open_to_nobody_in_general
from stacks.policy.at_rest import (
    buckets_block_public_access,
    functions_have_log_groups,
    is_encrypted_at_rest,
    is_no_public_bucket,
    is_protected_in_production,
    keeps_logs_for_a_limited_time,
)
from stacks.policy.bounds import carries_the_tags, reserves_concurrency_outside_production
from stacks.policy.dead_letters import (
    a_queue_gives_up_into_another,
    a_stream_is_held_up_by_no_record,
    asynchronous_functions_have_dead_letters,
    what_a_schedule_or_topic_cannot_deliver_is_kept,
)
from stacks.policy.resource import Rule, StackRule

RULES: Final[dict[str, Rule]] = {
    "access-not-open": is_open_to_nobody_in_general,
    "actions-not-wild": allows_no_wildcard_on_everything,
    "bucket-not-public": is_no_public_bucket,
    "concurrency-reserved": reserves_concurrency_outside_production,
    "encrypted-at-rest": is_encrypted_at_rest,
    "log-retention": keeps_logs_for_a_limited_time,
    "production-protected": is_protected_in_production,
    "queue-dead-letters": a_queue_gives_up_into_another,
    "stream-dead-letters": a_stream_is_held_up_by_no_record,
    "tags": carries_the_tags,
    "target-dead-letters": what_a_schedule_or_topic_cannot_deliver_is_kept,
}
STACK_RULES: Final[dict[str, StackRule]] = {
    "bucket-access-blocked": buckets_block_public_access,
    "function-dead-letters": asynchronous_functions_have_dead_letters,
    "function-log-groups": functions_have_log_groups,
}
