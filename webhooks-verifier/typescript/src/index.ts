/**
 * Verifies signed webhooks: Standard Webhooks 1.0.0, on Web Crypto (Node 20, browsers, workers).
 *
 * It checks that a request was signed with your secret, now, over these exact bytes, and only then parses it.
 * It refuses to guess: a header that appears twice, a body that a framework has already parsed, and JSON that
 * two languages would read differently are errors. It does not remember ids: doing an event once is the
 * receiver's part (see the examples). Start at `Webhook.verify`.
 */

export { ERROR_CODES, type ErrorCode, WebhookVerificationError } from "./errors.js";
export type { WebhookEvent } from "./event.js";
export { Webhook, type WebhookHeaders, type WebhookOptions } from "./webhook.js";
