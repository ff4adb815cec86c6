"""A FastAPI receiver: verifies the raw body, then stores each event once.

Run it: WEBHOOK_SECRETS=whsec_... uvicorn --factory fastapi_receiver:create_app
"""

import json
import os
import sqlite3
from contextlib import closing

from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from webhooks_verifier import Webhook, WebhookEvent, WebhookVerificationError


def create_app() -> FastAPI:
    webhook = Webhook(os.environ["WEBHOOK_SECRETS"].split())  # two of them while rotating
    app = FastAPI()

    @app.post("/webhooks")
    async def receive_webhook(request: Request) -> Response:
        body = await request.body()  # the bytes as sent; request.json() would lose them
        try:
            event = webhook.verify(body, request.headers)
        except WebhookVerificationError as error:
            return JSONResponse({"code": error.code}, status_code=400)
        await run_in_threadpool(store_once, event)
        return Response(status_code=204)

    return app


def store_once(event: WebhookEvent) -> None:
    """Put the event into the inbox, from which a worker takes it; a repeated delivery changes nothing.

    The sender gives up after 15 seconds and tries again: answer first, work afterwards.
    """
    with closing(sqlite3.connect(os.environ.get("INBOX", "inbox.sqlite"))) as inbox, inbox:
        inbox.execute("CREATE TABLE IF NOT EXISTS events (id TEXT PRIMARY KEY, payload TEXT NOT NULL)")
        row = (event.id, json.dumps(event.payload))
        inbox.execute("INSERT INTO events VALUES (?, ?) ON CONFLICT (id) DO NOTHING", row)
