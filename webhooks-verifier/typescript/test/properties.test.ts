/** What holds for any input: one error type, and agreement with the public package. */

import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import * as standardwebhooks from "standardwebhooks";
import {
  ERROR_CODES,
  Webhook,
  WebhookVerificationError,
  type WebhookHeaders,
} from "@payments-sandbox/webhooks-verifier";

// The same examples in every run, unless `make explore` gives a seed.
fc.configureGlobal({ seed: Number(process.env["EXPLORE_SEED"] ?? 7391) });

const SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const NOW = 1_674_087_231;
const NAMES = ["webhook-id", "webhook-timestamp", "webhook-signature"] as const;
const BODY = '{"type":"payment.captured","timestamp":"2023-01-19T00:13:51Z","data":{"amount_minor":1050}}';

const frozen = new Webhook(SECRET, { clock: () => NOW });
const live = new Webhook(SECRET);
const standard = new standardwebhooks.Webhook(SECRET);
const signed = await frozen.sign("evt_1", NOW, BODY);
const presentSeconds = () => Math.floor(Date.now() / 1000);

const anyText = fc.string({ unit: "binary" }); // any code points but surrogates
const brokenText = fc
  .array(fc.integer({ min: 0, max: 0xffff }))
  .map((units) => String.fromCharCode(...units));
const garbage = fc.anything({
  withBigInt: true,
  withDate: true,
  withMap: true,
  withNullPrototype: true,
  withSet: true,
  withSparseArray: true,
  withTypedArray: true,
});
const likelyName = fc.constantFrom(...NAMES, "Webhook-Id", "WEBHOOK-SIGNATURE");
const likelyValue = fc.constantFrom("evt_1", "9".repeat(5000), ...Object.values(signed));
const anyPairs = fc.array(fc.tuple(likelyName, fc.oneof(likelyValue, anyText, brokenText, garbage)));
const anyHeaders = fc.oneof(
  garbage,
  anyPairs,
  anyPairs.map((pairs) => new Map(pairs)),
  anyPairs.map((pairs) => Object.fromEntries(pairs)),
);
const id = fc.stringMatching(/^[A-Za-z0-9_:,=/+-]{1,40}$/);

const interoperable = [
  fc.constant(null),
  fc.boolean(),
  anyText,
  fc.maxSafeInteger(),
  fc.double({ min: -1e15, max: 1e15, noNaN: true }),
];
const jsonValue = fc.anything({ key: anyText, values: interoperable, maxDepth: 4 });
const event = fc
  .record({
    type: fc.string({ unit: "binary", minLength: 1 }),
    timestamp: anyText,
    data: fc.dictionary(anyText, jsonValue),
  })
  .map((payload) => JSON.stringify(payload));

/** `event`, or the code of the one error; whatever else is thrown fails the test. */
async function outcome(webhook: Webhook, body: unknown, headers: unknown): Promise<string> {
  try {
    await webhook.verify(body as string, headers as WebhookHeaders);
    return "event";
  } catch (error) {
    if (!(error instanceof WebhookVerificationError)) throw error;
    assert.ok(ERROR_CODES.includes(error.code));
    return error.code;
  }
}

test("any body and headers give an event or the one error", () =>
  fc.assert(
    fc.asyncProperty(
      fc.oneof(garbage, anyText, brokenText, fc.uint8Array()),
      anyHeaders,
      async (body, headers) => {
        await outcome(frozen, body, headers);
      },
    ),
    { numRuns: 500 },
  ));

test("any headers on a good body give an event or the one error", () =>
  fc.assert(
    fc.asyncProperty(anyHeaders, async (headers) => {
      await outcome(frozen, BODY, headers);
    }),
    { numRuns: 500 },
  ));

test("any authentic body is an event or a malformed payload", () =>
  fc.assert(
    fc.asyncProperty(fc.oneof(fc.uint8Array(), fc.json(), event), async (body) => {
      const result = await outcome(frozen, body, await frozen.sign("evt_1", NOW, body));
      assert.ok(["event", "malformed_payload"].includes(result), result);
    }),
    {
      examples: [
        ["[".repeat(100_000)],
        ["[".repeat(100_000) + "]".repeat(100_000)],
        [`{"n":${"9".repeat(100_000)}}`],
      ],
    },
  ));

test("a body changed by one byte is refused", () =>
  fc.assert(
    fc.asyncProperty(fc.nat(BODY.length - 1), fc.nat(255), async (index, byte) => {
      const changed = Buffer.from(BODY);
      changed[index] = byte;
      const expected = changed.equals(Buffer.from(BODY)) ? "event" : "no_matching_signature";
      assert.equal(await outcome(frozen, changed, signed), expected);
    }),
  ));

test("a header changed by one character is refused", () =>
  fc.assert(
    fc.asyncProperty(fc.constantFrom(...NAMES), fc.nat(60), fc.nat(0xffff), async (name, position, unit) => {
      const value = signed[name];
      const index = position % value.length;
      const changed = value.slice(0, index) + String.fromCharCode(unit) + value.slice(index + 1);
      const result = await outcome(frozen, BODY, { ...signed, [name]: changed });
      assert.equal(result === "event", changed === value);
    }),
  ));

test("what we sign, we and the public package accept", () =>
  fc.assert(
    fc.asyncProperty(id, event, fc.boolean(), async (eventId, text, asText) => {
      const body = asText ? text : Buffer.from(text);
      const headers = await live.sign(eventId, presentSeconds(), body);
      assert.deepEqual((await live.verify(body, headers)).payload, JSON.parse(text));
      assert.deepEqual(standard.verify(body, headers), JSON.parse(text));
    }),
  ));

test("what the public package signs, we accept", () =>
  fc.assert(
    fc.asyncProperty(id, event, async (eventId, body) => {
      const seconds = presentSeconds();
      const headers = {
        "webhook-id": eventId,
        "webhook-timestamp": String(seconds),
        "webhook-signature": standard.sign(eventId, new Date(seconds * 1000), body),
      };
      assert.deepEqual((await live.verify(body, headers)).payload, JSON.parse(body));
    }),
  ));

test("any secret that is refused is a TypeError without the secret", () =>
  fc.assert(
    fc.property(
      fc.oneof(
        garbage,
        anyText.map((text) => `whsec_${text}`),
      ),
      (secret) => {
        assert.throws(
          () => new Webhook(secret as string),
          /^TypeError: (secret \d+ of \d+ (is not|has)|no secret was given)/,
        );
      },
    ),
  ));
