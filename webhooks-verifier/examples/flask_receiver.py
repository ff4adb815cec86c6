"""A Flask receiver: verifies the raw body, then stores each event once.

Run it: WEBHOOK_SECRETS=whsec_... flask --app flask_receiver run
"""

import json
import os
import sqlite3
from contextlib import closing

from flask import Flask, request
from flask.typing import ResponseReturnValue

from webhooks_verifier import Webhook, WebhookEvent, WebhookVerificationError


def create_app() -> Flask:
    webhook = Webhook(os.environ["WEBHOOK_SECRETS"].split())  # two of them while rotating
    app = Flask(__name__)

    @app.post("/webhooks")
    def receive_webhook() -> ResponseReturnValue:
        try:
            event = webhook.verify(request.get_data(), request.headers)  # the bytes as sent, not request.json
        except WebhookVerificationError as error:
            return {"code": error.code}, 400
        store_once(event)
        return "", 204

    return app


def store_once(event: WebhookEvent) -> None:
    """Put the event into the inbox, from which a worker takes it; a repeated delivery changes nothing.

    The sender gives up after 15 seconds and tries again: answer first, work afterwards.
    """
    with closing(sqlite3.connect(os.environ.get("INBOX", "inbox.sqlite"))) as inbox, inbox:
        inbox.execute("CREATE TABLE IF NOT EXISTS events (id TEXT PRIMARY KEY, payload TEXT NOT NULL)")
        row = (event.id, json.dumps(event.payload))
        inbox.execute("INSERT INTO events VALUES (?, ?) ON CONFLICT (id) DO NOTHING", row)
