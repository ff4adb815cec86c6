/**
 * The one error that `Webhook.verify` rejects with, and its codes.
 *
 * Codes are stable and the same in the Python library; messages are for people and may change.
 * No message quotes the request: it is not trusted, and it may be on its way to a log.
 */

export const ERROR_CODES = [
  "body_not_raw",
  "missing_header",
  "malformed_header",
  "timestamp_too_old",
  "timestamp_too_new",
  "no_matching_signature",
  "malformed_payload",
] as const;

export type ErrorCode = (typeof ERROR_CODES)[number];

/** This request is not a webhook to act upon. Answer 400; `code` says which check failed. */
export class WebhookVerificationError extends Error {
  override readonly name = "WebhookVerificationError";
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(`${message} (${code})`, options);
    this.code = code;
  }
}
