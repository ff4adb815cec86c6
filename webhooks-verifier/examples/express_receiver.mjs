/**
 * An Express receiver: verifies the raw body, then stores each event once.
 *
 * Run it: WEBHOOK_SECRETS=whsec_... node express_receiver.mjs
 */

import { pathToFileURL } from "node:url";
import { Webhook, WebhookVerificationError } from "@payments-sandbox/webhooks-verifier";
import express from "express";

// In production a table whose primary key is the event's id: this one forgets when the process ends.
export const inbox = new Map();

export function createApp() {
  const webhook = new Webhook(process.env.WEBHOOK_SECRETS.split(" ")); // two of them while rotating
  const app = express();

  // express.raw keeps the bytes as sent. No express.json() before this route: it would lose them.
  app.post("/webhooks", express.raw({ type: () => true }), async (request, response) => {
    let event;
    try {
      event = await webhook.verify(request.body, request.headers);
    } catch (error) {
      if (!(error instanceof WebhookVerificationError)) throw error;
      response.status(400).json({ code: error.code });
      return;
    }
    // A worker takes it from there: the sender gives up after 15 seconds, so answer first, work afterwards.
    if (!inbox.has(event.id)) inbox.set(event.id, event.payload);
    response.sendStatus(204);
  });

  return app;
}

if (import.meta.url === pathToFileURL(process.argv[1]).href) {
  const server = createApp().listen(Number(process.env.PORT ?? 3000), "127.0.0.1", () => {
    console.log(`listening on port ${server.address().port}`);
  });
}
