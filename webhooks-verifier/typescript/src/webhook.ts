/**
 * Signs and verifies: secrets, headers, time and signatures.
 *
 * The order of the checks is the order of `Webhook.verify`. Nothing of the body is parsed before a signature
 * matched; that part is in event.ts. Web Crypto is asynchronous, so whatever the caller could change
 * meanwhile (the bytes, the headers) is read or copied before the first `await`.
 */

import { WebhookVerificationError } from "./errors.js";
import { hasLoneSurrogate, parseEvent, type WebhookEvent } from "./event.js";

const SECRET_PREFIX = "whsec_";
const SECRET_BYTES_MIN = 24;
const SECRET_BYTES_MAX = 64;
const TOLERANCE_SECONDS = 5 * 60;

// The id has no full stop: it would blur where the id ends in `id.timestamp.body`.
const HEADER_FORMS = {
  "webhook-id": /^[!-\-/-~]+$/,
  "webhook-timestamp": /^(?:0|[1-9][0-9]{0,14})$/,
  "webhook-signature": /^[ -~]+$/,
} as const;

type HeaderName = keyof typeof HEADER_FORMS;

/** A fetch `Headers`, a Map or other pairs, or a plain object such as Node's `request.headers`. */
export type WebhookHeaders =
  Iterable<readonly [string, string]> | Readonly<Record<string, string | readonly string[] | undefined>>;

export interface WebhookOptions {
  /** How far the sender's clock may be from ours, in the past and in the future. 300 by default. */
  readonly toleranceSeconds?: number;
  /** The present time in seconds since 1970. Fix it in tests. */
  readonly clock?: () => number;
}

/** Verifies the webhooks of one endpoint. */
export class Webhook {
  readonly #keys: Promise<readonly CryptoKey[]>;
  readonly #toleranceSeconds: number;
  readonly #clock: () => number;

  /**
   * @param secrets the endpoint's secret; while it is rotated, the new one and the old one.
   * @throws TypeError, at start-up, for a secret that cannot be one; its message never quotes the secret.
   */
  constructor(secrets: string | readonly string[], options: WebhookOptions = {}) {
    const given: readonly unknown[] = Array.isArray(secrets) ? [...secrets] : [secrets];
    if (given.length === 0) throw new TypeError("no secret was given");
    const { toleranceSeconds = TOLERANCE_SECONDS, clock = () => Date.now() / 1000 } = options;
    if (!Number.isSafeInteger(toleranceSeconds) || toleranceSeconds < 0) {
      throw new TypeError("toleranceSeconds must be a whole number, 0 or more");
    }
    const keys = given.map((secret, index) => decodeSecret(secret, `secret ${index + 1} of ${given.length}`));
    this.#keys = Promise.all(keys.map(importKey));
    this.#toleranceSeconds = toleranceSeconds;
    this.#clock = clock;
  }

  /**
   * Resolves to the event, if it was signed with one of the secrets within the tolerance.
   *
   * Rejects always with a WebhookVerificationError; its codes, by precedence:
   * - `body_not_raw`: the body is neither bytes nor text with a UTF-8 form.
   * - `missing_header`: one of the three webhook headers is absent or empty.
   * - `malformed_header`: it appears twice, or is not text of the form that the standard gives it.
   * - `timestamp_too_old`, `timestamp_too_new`: it is outside of the tolerance: a replay, or a wrong clock.
   * - `no_matching_signature`: no `v1` signature is that of any secret.
   * - `malformed_payload`: authentic, but not `{type, timestamp, data}` in interoperable JSON.
   *
   * Source: Standard Webhooks 1.0.0, "Verifying signatures".
   *
   * @param body exactly as received. Text stands for its UTF-8 bytes.
   * @param headers all of the request's headers; names in any case.
   */
  async verify(body: string | Uint8Array, headers: WebhookHeaders): Promise<WebhookEvent> {
    const raw = rawBytes(body);
    if (raw === undefined) {
      throw new WebhookVerificationError("body_not_raw", "pass the body as received: bytes, not parsed JSON");
    }
    const id = readHeader(headers, "webhook-id");
    const timestamp = readHeader(headers, "webhook-timestamp");
    const candidates = readHeader(headers, "webhook-signature").split(" ");
    this.#checkTimestamp(Number(timestamp));
    const prefix = signedPrefix(id, timestamp);
    const signedContent = concatenate(prefix, raw);

    let matched = false;
    for (const key of await this.#keys) {
      const expected = await signature(key, signedContent);
      for (const candidate of candidates) {
        // All with all, each in constant time: the time taken tells nothing of a match or a near miss.
        if (equalInConstantTime(expected, candidate)) matched = true;
      }
    }
    if (!matched) {
      throw new WebhookVerificationError("no_matching_signature", "no v1 signature matches any secret");
    }
    return parseEvent(id, signedContent.subarray(prefix.length));
  }

  /**
   * Resolves to the headers of this event, signed with every secret, to test a receiver.
   *
   * What `verify` could never accept rejects with a TypeError.
   */
  async sign(
    eventId: string,
    timestamp: number,
    body: string | Uint8Array,
  ): Promise<Record<HeaderName, string>> {
    const raw = rawBytes(body);
    if (raw === undefined) throw new TypeError("the body must be bytes, or text with a UTF-8 form");
    const headers = { "webhook-id": eventId, "webhook-timestamp": String(timestamp) };
    for (const [name, value] of Object.entries(headers)) {
      if (!HEADER_FORMS[name as HeaderName].test(value))
        throw new TypeError(`this value cannot be a ${name}`);
    }
    const signedContent = concatenate(signedPrefix(eventId, headers["webhook-timestamp"]), raw);
    const signatures = (await this.#keys).map((key) => signature(key, signedContent));
    return { ...headers, "webhook-signature": (await Promise.all(signatures)).join(" ") };
  }

  #checkTimestamp(timestamp: number): void {
    const ageSeconds = this.#clock() - timestamp;
    // Written so that a clock that says NaN refuses everything.
    if (!(ageSeconds <= this.#toleranceSeconds)) {
      throw new WebhookVerificationError("timestamp_too_old", "the webhook was sent too long ago");
    }
    if (!(ageSeconds >= -this.#toleranceSeconds)) {
      throw new WebhookVerificationError("timestamp_too_new", "the webhook was sent in the future");
    }
  }
}

function decodeSecret(secret: unknown, which: string): Uint8Array<ArrayBuffer> {
  if (typeof secret !== "string" || !secret.startsWith(SECRET_PREFIX)) {
    throw new TypeError(`${which} is not text that starts with "${SECRET_PREFIX}"`);
  }
  const encoded = secret.slice(SECRET_PREFIX.length);
  let binary: string | undefined;
  try {
    binary = atob(encoded);
  } catch {
    // Reported below, together with what atob lets pass: white space, no padding, stray bits.
  }
  if (binary === undefined || btoa(binary) !== encoded) {
    throw new TypeError(`${which} is not standard base64, with its padding, after "${SECRET_PREFIX}"`);
  }
  if (binary.length < SECRET_BYTES_MIN || binary.length > SECRET_BYTES_MAX) {
    throw new TypeError(
      `${which} has ${binary.length} bytes, not ${SECRET_BYTES_MIN} to ${SECRET_BYTES_MAX}`,
    );
  }
  return Uint8Array.from(binary, (character) => character.charCodeAt(0));
}

function importKey(key: Uint8Array<ArrayBuffer>): Promise<CryptoKey> {
  return crypto.subtle.importKey("raw", key, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
}

function rawBytes(body: unknown): Uint8Array | undefined {
  // A lone surrogate has no UTF-8 form, though TextEncoder would write a replacement: nobody sent this text.
  if (typeof body === "string") return hasLoneSurrogate(body) ? undefined : new TextEncoder().encode(body);
  // Not instanceof: bytes may come from another realm, as they do in test runners.
  if (!ArrayBuffer.isView(body)) return undefined;
  try {
    return new Uint8Array(body.buffer, body.byteOffset, body.byteLength);
  } catch {
    return undefined; // the bytes are gone: their buffer was transferred to another thread, or has shrunk
  }
}

function readHeader(headers: unknown, name: HeaderName): string {
  if (typeof headers !== "object" || headers === null) {
    throw new WebhookVerificationError(
      "malformed_header",
      "the headers are not a mapping of names to values",
    );
  }
  const values: unknown[] = [];
  try {
    for (const pair of isIterable(headers) ? headers : Object.entries(headers)) {
      if (!Array.isArray(pair)) continue;
      const [key, value]: unknown[] = pair;
      if (typeof key === "string" && key.toLowerCase() === name) values.push(value);
    }
  } catch (cause) {
    // A getter, an iterator or a proxy of somebody else's.
    throw new WebhookVerificationError("malformed_header", "the headers cannot be read", { cause });
  }
  const [value] = values;
  if (values.length <= 1 && (value === undefined || value === null || value === "")) {
    throw new WebhookVerificationError("missing_header", `${name} is missing`);
  }
  if (values.length > 1 || typeof value !== "string" || !HEADER_FORMS[name].test(value)) {
    throw new WebhookVerificationError("malformed_header", `${name} is malformed or appears twice`);
  }
  return value;
}

function isIterable(value: object): value is Iterable<unknown> {
  return Symbol.iterator in value && typeof value[Symbol.iterator] === "function";
}

function signedPrefix(id: string, timestamp: string): Uint8Array {
  return new TextEncoder().encode(`${id}.${timestamp}.`);
}

function concatenate(first: Uint8Array, second: Uint8Array): Uint8Array<ArrayBuffer> {
  const joined = new Uint8Array(first.length + second.length);
  joined.set(first);
  joined.set(second, first.length);
  return joined;
}

async function signature(key: CryptoKey, signedContent: Uint8Array<ArrayBuffer>): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.sign("HMAC", key, signedContent));
  return `v1,${btoa(String.fromCharCode(...digest))}`;
}

/** Looks at every character of `expected` whatever it finds: only the lengths, which are public, may show. */
function equalInConstantTime(expected: string, candidate: string): boolean {
  let difference = expected.length ^ candidate.length;
  for (let index = 0; index < expected.length; index += 1) {
    difference |= expected.charCodeAt(index) ^ candidate.charCodeAt(index);
  }
  return difference === 0;
}
