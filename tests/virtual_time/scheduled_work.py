"""What falls due, done as the homes do it: in order, each piece at its own moment, the index read anew after each."""

from payments_sandbox.services.accounts.controls import world_of
from payments_sandbox.services.infrastructure import Infrastructure
from payments_sandbox.services.ports import Index, Record
from payments_sandbox.services.time.scheduled_work import do_scheduled_work


def do_everything_due(infrastructure: Infrastructure, account_id: str) -> list[Record]:
    """Do all that is due in the account by now; answers the records with which it was done."""
    world = world_of(infrastructure, account_id)
    done: list[Record] = []
    while True:
        page = world.store.page(Index.DUE, account_id, limit=1)
        if not page.records or (page.records[0].due_at or 0) > world.clock.now_ms():
            return done
        assert done[-1:] != [page.records[0]], "what was done has to be due no more"
        done.append(page.records[0])
        do_scheduled_work(world, page.records[0])
