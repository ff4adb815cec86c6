"""How fast webhooks leave, and what a receiver that hangs does to the others: a part of `bench.py`.

latency: captures at a steady rate, and how long after the answer to each its webhook arrives.
fan-out: many events to the twenty endpoints of one account, of which five never answer: when the other fifteen have
    theirs, what the server's memory came to, and how long requests took meanwhile.

The server, the receivers and the load are processes of their own, all on 127.0.0.1; each part ends by itself, and ends
only what it started.
"""

import asyncio
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import fmean, quantiles
from typing import Any

import httpx

from tests.load.figures import Figure, FigureSection
from tests.load.processes import LOOPBACK, ROOT, BenchFailed, free_port, running, wait_until_answering
from tests.load.samples import ACCEPTED, API_KEY

LATENCY_AVERAGE_MAX_MS = 200
"""The target, from the answer to the capture to the arrival of its webhook."""

MEMORY_MAX_MIB = 256
"""The target of the fan-out: the same however many events there are, as what waits does so in the ledger."""

RATE_PER_S = 20
ENDPOINTS = 20
HANGING = 5
WRITERS = 4
FAN_OUT_MAX_S = 1_800

_ANSWER = b"HTTP/1.1 204 No Content\r\n\r\n"


@dataclass(frozen=True)
class Extent:
    """How much is measured. latency_s: how long captures are made."""

    latency_s: int
    events: int


FULL = Extent(latency_s=30, events=10_000)
QUICK = Extent(latency_s=5, events=1_000)


def measure(extent: Extent) -> FigureSection:
    """Both parts. Raises BenchFailed."""
    figures = [*measure_latency(extent.latency_s), *measure_fan_out(extent.events)]
    return FigureSection(
        "Webhooks",
        f"The embedded server, the receivers and the load are processes of their own on 127.0.0.1. Latency: "
        f"{RATE_PER_S} payments a second, each authorized and captured, for {extent.latency_s} s, from the answer to the "
        f"capture to the arrival of its webhook at one receiver. Fan-out: {extent.events} authorizations, made by "
        f"{WRITERS} writers as fast as they can, to the {ENDPOINTS} endpoints of one account, of which {HANGING} take the "
        f"request and never answer. The machine's load average was {os.getloadavg()[2]:.1f} over the quarter of an hour "
        f"before the end, this included.",
        figures,
    )


# --- receivers, in a process of their own ------------------------------------------------------------------------


@dataclass
class _Endpoint:
    """A receiver's port and what arrived there: id and type of each event, and when (CLOCK_MONOTONIC)."""

    hangs: bool
    port: int = 0
    arrived: dict[str, tuple[str, float]] = field(default_factory=dict)
    last_at: float = 0.0
    requests: int = 0


class _Receiver(asyncio.Protocol):
    """Enough HTTP to take a webhook and say 204, or nothing at all."""

    def __init__(self, endpoint: _Endpoint) -> None:
        self._endpoint = endpoint
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        at = time.monotonic()
        self._data += data
        head, separator, body = self._data.partition(b"\r\n\r\n")
        if not separator:
            return
        lines = head.decode("latin-1").lower().split("\r\n")[1:]
        headers = dict(line.split(": ", 1) for line in lines)
        if len(body) < int(headers["content-length"]):
            return
        self._data = b""
        endpoint = self._endpoint
        endpoint.requests += 1
        if endpoint.hangs:
            return
        event_id = headers["webhook-id"]
        if event_id not in endpoint.arrived:
            endpoint.arrived[event_id] = (body[:64].decode().split('"', 4)[3], at)
            endpoint.last_at = at
        self._transport.write(_ANSWER)


def _serve_receivers(control: Connection, hangs: list[bool]) -> None:
    asyncio.run(_receive(control, [_Endpoint(each) for each in hangs]))


async def _receive(control: Connection, endpoints: list[_Endpoint]) -> None:
    """Listen, say where, and answer `counts`, `arrivals` and `requests` until told to `end`."""
    loop = asyncio.get_running_loop()
    for endpoint in endpoints:
        server = await loop.create_server(lambda each=endpoint: _Receiver(each), LOOPBACK, 0)  # type: ignore[misc]
        endpoint.port = server.sockets[0].getsockname()[1]
    control.send([endpoint.port for endpoint in endpoints])
    while True:
        while not control.poll():
            await asyncio.sleep(0.01)
        match control.recv():
            case "counts":
                control.send([len(endpoint.arrived) for endpoint in endpoints])
            case "last":
                control.send([endpoint.last_at for endpoint in endpoints])
            case "requests":
                control.send([endpoint.requests for endpoint in endpoints])
            case "arrivals":
                control.send(endpoints[0].arrived)
            case _:
                return


class Receivers:
    """The receivers' process, asked over a pipe."""

    def __init__(self, control: Connection) -> None:
        self._control = control
        self.ports: list[int] = control.recv()

    def ask(self, what: str) -> Any:
        self._control.send(what)
        return self._control.recv()


@contextmanager
def receivers(hangs: list[bool]) -> Iterator[Receivers]:
    """As many receivers as there are answers to whether one hangs."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve_receivers, args=(theirs, hangs), daemon=True)
    process.start()
    try:
        yield Receivers(ours)
        ours.send("end")
        process.join(5)
    finally:
        process.kill()
        process.join()


# --- the sandbox ---------------------------------------------------------------------------------------------------


@dataclass
class Sandbox:
    """A server under test."""

    pid: int
    url: str

    def client(self) -> httpx.AsyncClient:
        limits = httpx.Limits(max_connections=64, max_keepalive_connections=64, keepalive_expiry=60)
        return httpx.AsyncClient(
            base_url=self.url, headers={"x-api-key": API_KEY}, timeout=120, limits=limits, trust_env=False
        )

    def peak_mib(self) -> float:
        """The most memory that the process ever had resident."""
        return self._status("VmHWM") / 1024

    def _status(self, name: str) -> int:
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith(name + ":"):
                return int(line.split()[1])
        raise BenchFailed(f"the kernel does not tell {name}")


@contextmanager
def sandbox() -> Iterator[Sandbox]:
    """The embedded server on an empty ledger, as a user starts it, without its access log."""
    with tempfile.TemporaryDirectory() as directory:
        scratch = Path(directory)
        port, log = free_port(), scratch / "server.log"
        command = [
            sys.executable,
            "-m",
            "payments_sandbox.entrypoints.cli",
            "serve",
            "--log-level",
            "warning",
        ]
        command += ["--host", LOOPBACK, "--port", str(port), "--db", str(scratch / "ledger.db")]
        with running(command, environment={}, cwd=ROOT, log=log) as process:
            url = f"http://{LOOPBACK}:{port}"
            wait_until_answering(process, f"{url}/v1/health", log)
            yield Sandbox(process.pid, url)
            if process.poll() is not None:
                raise BenchFailed(f"the server ended by itself:\n{log.read_text()[-2000:]}")


async def _post(client: httpx.AsyncClient, path: str, body: Any, key: str) -> Any:
    answer = await client.post(path, json=body, headers={"x-idempotency-key": key})
    if answer.status_code != 201:
        raise BenchFailed(f"{path} answered {answer.status_code}: {answer.text[:500]}")
    return answer.json()


async def _register(client: httpx.AsyncClient, port: int) -> None:
    answer = await client.post("/v1/webhook-endpoints", json={"url": f"http://{LOOPBACK}:{port}/hook"})
    if answer.status_code != 201:
        raise BenchFailed(f"no endpoint: {answer.text[:500]}")


# --- the two parts -------------------------------------------------------------------------------------------------


def measure_latency(seconds: int) -> list[Figure]:
    """Captures at a steady rate, to one receiver."""
    with sandbox() as server, receivers([False]) as receiver:
        answered = asyncio.run(_capture_steadily(server, receiver.ports[0], RATE_PER_S * seconds))
        deadline = time.monotonic() + 30
        while receiver.ask("counts")[0] < 2 * len(answered):
            if time.monotonic() > deadline:
                raise BenchFailed("webhooks are missing")
            time.sleep(0.1)
        arrived = receiver.ask("arrivals")
    # What arrives before the answer has been read waited for nothing.
    waits = sorted(max(0.0, arrived[f"evt_{name}"][1] - at) * 1000 for name, at in answered.items())
    return [
        Figure(
            f"capture's answer to webhook, {RATE_PER_S}/s: average",
            fmean(waits),
            "ms",
            LATENCY_AVERAGE_MAX_MS,
        ),
        Figure(f"capture's answer to webhook, {RATE_PER_S}/s: p95", quantiles(waits, n=20)[-1], "ms"),
        Figure(f"capture's answer to webhook, {RATE_PER_S}/s: longest", waits[-1], "ms"),
    ]


async def _capture_steadily(server: Sandbox, port: int, count: int) -> dict[str, float]:
    """Ids of captures, and when their answers were there."""
    answered: dict[str, float] = {}
    async with server.client() as client:
        await _register(client, port)

        async def pay(number: int) -> None:
            made = await _post(client, "/v1/authorize", ACCEPTED, f"auth-{number}")
            body = {"authorization_id": made["transaction_id"]}
            capture = await _post(client, "/v1/capture", body, f"cap-{number}")
            answered[capture["transaction_id"]] = time.monotonic()

        start = time.monotonic()
        payments = []
        for number in range(count):
            await asyncio.sleep(start + number / RATE_PER_S - time.monotonic())
            payments.append(asyncio.create_task(pay(number)))
        await asyncio.gather(*payments)
    return answered


def measure_fan_out(events: int) -> list[Figure]:
    """Events as fast as they can be made, to all of an account's endpoints."""
    healthy = ENDPOINTS - HANGING
    with sandbox() as server, receivers([number < HANGING for number in range(ENDPOINTS)]) as receiver:
        before = server.peak_mib()
        made_s, waits, done_s = asyncio.run(_fan_out(server, receiver, events))
        peak = server.peak_mib()
        hung = sum(receiver.ask("requests")[:HANGING])
    waits.sort()
    return [
        Figure(f"{events} events made by {WRITERS} writers, in", made_s, "s"),
        Figure(f"{healthy} of {ENDPOINTS} endpoints have all, {HANGING} hang: after", done_s, "s"),
        Figure("webhooks a second", events * healthy / done_s, "/s"),
        Figure("attempts at those that hang", hung, ""),
        Figure("server's memory, before the first event", before, "MiB"),
        Figure("server's memory, peak", peak, "MiB", MEMORY_MAX_MIB),
        Figure("a transaction listed meanwhile: p50", waits[len(waits) // 2], "ms"),
        Figure("a transaction listed meanwhile: p95", quantiles(waits, n=20)[-1], "ms"),
        Figure("a transaction listed meanwhile: longest", waits[-1], "ms"),
    ]


async def _fan_out(server: Sandbox, receiver: Receivers, events: int) -> tuple[float, list[float], float]:
    """Seconds until all events were made, ms that single requests took, seconds until the healthy had everything."""
    waits: list[float] = []
    async with server.client() as client:
        for port in receiver.ports:
            await _register(client, port)
        start = time.monotonic()
        numbers = iter(range(events))

        async def write() -> None:
            for number in numbers:
                await _post(client, "/v1/authorize", ACCEPTED, f"auth-{number}")

        async def probe() -> None:
            # Reads, so that a probe makes no event of its own.
            while True:
                asked = time.monotonic()
                await client.get("/v1/transactions", params={"limit": 1})
                waits.append((time.monotonic() - asked) * 1000)
                await asyncio.sleep(0.1)

        probing = asyncio.create_task(probe())
        try:
            await asyncio.gather(*(write() for _ in range(WRITERS)))
            made_s = time.monotonic() - start
            shown = 0.0
            while min(counts := (await asyncio.to_thread(receiver.ask, "counts"))[HANGING:]) < events:
                if time.monotonic() - start > FAN_OUT_MAX_S:
                    raise BenchFailed(f"after {FAN_OUT_MAX_S} s the healthy endpoints have {sorted(counts)}")
                if probing.done():
                    probing.result()
                if time.monotonic() - shown > 10:
                    shown = time.monotonic()
                    print(f"  {shown - start:5.0f} s: {sum(counts)} of {events * len(counts)}", flush=True)
                await asyncio.sleep(0.2)
        finally:
            probing.cancel()
    last_at = max(receiver.ask("last")[HANGING:])
    return made_s, waits, last_at - start
