"""What falls due, done as the homes do it: in order, each piece at its own moment, the index read anew after each."""

from payments_sandbox.services.accounts.controls import account_ports
from payments_sandbox.services.ports import Index, Ports, Record
from payments_sandbox.services.time.scheduled_work import do_scheduled_work


def do_everything_due(ports: Ports, account_id: str) -> list[Record]:
    """Do all that is due in the account by now; answers the records with which it was done."""
    ports = account_ports(ports, account_id)
    done: list[Record] = []
    while True:
        page = ports.store.page(Index.DUE, account_id, limit=1)
        if not page.records or (page.records[0].due_at or 0) > ports.clock.now_ms():
            return done
        assert done[-1:] != [page.records[0]], "what was done has to be due no more"
        done.append(page.records[0])
        do_scheduled_work(ports, page.records[0])
