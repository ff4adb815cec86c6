/**
 * From authentic bytes to a typed event.
 *
 * Called only after the signature matched. It refuses what Python and JavaScript would read differently, so
 * that two receivers never disagree about one event: RFC 7493 (I-JSON) strings and numbers, a limit on depth.
 */

import { WebhookVerificationError } from "./errors.js";

const DEPTH_MAX = 64;
const LONE_SURROGATE = /\p{Surrogate}/u;

/** An authentic event. */
export interface WebhookEvent {
  /** The `webhook-id`, the same in every delivery of this event. Do each id once. */
  readonly id: string;
  /** What happened, as `resource.past_verb`. */
  readonly type: string;
  /** When it happened (not when it was sent), as the sender wrote it: RFC 3339. */
  readonly timestamp: string;
  /** The `data` object of the payload. */
  readonly data: Readonly<Record<string, unknown>>;
  /** The whole body, parsed. */
  readonly payload: Readonly<Record<string, unknown>>;
}

/** Reads the body as an event, or throws `malformed_payload`. */
export function parseEvent(id: string, body: Uint8Array): WebhookEvent {
  let payload: unknown;
  try {
    // ignoreBOM keeps the mark in the text, where JSON.parse refuses it.
    payload = JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(body));
  } catch (cause) {
    throw new WebhookVerificationError("malformed_payload", "the body is not JSON in UTF-8", { cause });
  }
  if (!isInteroperable(payload)) {
    throw malformed("the body has a number, a string or a depth that not every JSON reader can hold");
  }
  if (isObject(payload)) {
    const { type, timestamp, data } = payload;
    if (typeof type === "string" && type !== "" && typeof timestamp === "string" && isObject(data)) {
      return { id, type, timestamp, data, payload };
    }
  }
  throw malformed("the body is not an object with a type, a timestamp and a data object");
}

/** Whether the text holds half of a surrogate pair, and so has no UTF-8 form. */
export function hasLoneSurrogate(text: string): boolean {
  return LONE_SURROGATE.test(text);
}

function isInteroperable(payload: unknown): boolean {
  let level = [payload];
  for (let depth = 1; depth <= DEPTH_MAX; depth += 1) {
    const deeper: unknown[] = [];
    for (const value of level) {
      if (typeof value === "string" && hasLoneSurrogate(value)) return false;
      if (typeof value === "number" && Math.abs(value) > Number.MAX_SAFE_INTEGER) return false;
      if (Array.isArray(value)) for (const item of value) deeper.push(item);
      else if (isObject(value)) for (const [name, item] of Object.entries(value)) deeper.push(name, item);
    }
    if (deeper.length === 0) return true;
    level = deeper;
  }
  return false;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function malformed(message: string): WebhookVerificationError {
  return new WebhookVerificationError("malformed_payload", message);
}
