/** What the vectors cannot say: construction, the clock, what never shows, header objects, changing bytes. */

import assert from "node:assert/strict";
import type { IncomingHttpHeaders } from "node:http";
import { test } from "node:test";
import { inspect } from "node:util";
import { runInNewContext } from "node:vm";
import { Webhook, WebhookVerificationError } from "@payments-sandbox/webhooks-verifier";

const SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OTHER_SECRET = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const NOW = 1_674_087_231;
const BODY = '{"type":"payment.captured","timestamp":"2023-01-19T00:13:51Z","data":{}}';

const webhook = new Webhook(SECRET, { clock: () => NOW });
const signed = await webhook.sign("evt_1", NOW, BODY);

test("the default clock is the present", async () => {
  const live = new Webhook(SECRET);
  const headers = await live.sign("evt_1", Math.floor(Date.now() / 1000), BODY);
  assert.equal((await live.verify(BODY, headers)).id, "evt_1");
  await assert.rejects(live.verify(BODY, signed), { code: "timestamp_too_old" });
});

test("the tolerance counts fractions of a second", async () => {
  await new Webhook(SECRET, { clock: () => NOW + 300 }).verify(BODY, signed);
  await assert.rejects(new Webhook(SECRET, { clock: () => NOW + 300.001 }).verify(BODY, signed), {
    code: "timestamp_too_old",
  });
});

test("a clock that does not know refuses everything", async () => {
  const lost = new Webhook(SECRET, { clock: () => NaN });
  await assert.rejects(lost.verify(BODY, signed), { code: "timestamp_too_old" });
});

test("a tolerance that is not a whole number is refused", () => {
  for (const toleranceSeconds of [-1, 1.5, Infinity, NaN, true, null, "300"] as number[]) {
    assert.throws(() => new Webhook(SECRET, { toleranceSeconds }), /toleranceSeconds/);
  }
});

test("the secret shows neither in an inspection nor in an error", () => {
  const webhook = new Webhook([SECRET, OTHER_SECRET]);
  assert.equal(inspect(webhook, { showHidden: true, depth: null }), "Webhook {}");
  assert.throws(
    () => new Webhook([SECRET, `${OTHER_SECRET}!`]),
    (error: Error) => {
      assert.match(error.message, /secret 2 of 2/);
      for (const secret of [SECRET, OTHER_SECRET]) assert.ok(!inspect(error).includes(secret.slice(6, 12)));
      return true;
    },
  );
});

test("a list of secrets with a hole is refused", () => {
  assert.throws(() => new Webhook(Array<string>(1)), /^TypeError: secret 1 of 1/);
});

test("the work does not depend on where a signature matches, or whether", async (context) => {
  const wrong = `v1,${"A".repeat(43)}=`;
  const right = signed["webhook-signature"];
  const charCodeAt = context.mock.method(String.prototype, "charCodeAt");
  const comparisons = [];
  for (const list of [
    [right, wrong, wrong],
    [wrong, wrong, right],
    [wrong, wrong, wrong],
  ]) {
    charCodeAt.mock.resetCalls();
    await webhook.verify(BODY, { ...signed, "webhook-signature": list.join(" ") }).catch(() => {});
    comparisons.push(charCodeAt.mock.callCount());
  }
  const each = 3 * 2 * right.length; // three signatures, two sides
  assert.deepEqual(comparisons, [each, each, each]);
});

test("signing uses every secret, as a sender does while rotating", async () => {
  const headers = await new Webhook([SECRET, OTHER_SECRET]).sign("evt_1", NOW, BODY);
  assert.equal(headers["webhook-signature"].split(" ").length, 2);
  for (const secret of [SECRET, OTHER_SECRET]) {
    assert.equal((await new Webhook(secret, { clock: () => NOW }).verify(BODY, headers)).id, "evt_1");
  }
});

test("signing refuses what could never verify", async () => {
  for (const [id, timestamp, body] of [
    ["", NOW, BODY],
    ["evt.1", NOW, BODY],
    ["évt", NOW, BODY],
    ["evt_1", -1, BODY],
    ["evt_1", 1e15, BODY],
    ["evt_1", 1.5, BODY],
    ["evt_1", NaN, BODY],
    ["evt_1", NOW, "\ud800"],
    ["evt_1", NOW, {}],
  ] as [string, number, string][]) {
    await assert.rejects(webhook.sign(id, timestamp, body), TypeError);
  }
});

test("the header objects of fetch and Node are understood, and pairs and Maps", async () => {
  const ofNode: IncomingHttpHeaders = { ...signed, host: "a", "set-cookie": ["a", "b"] };
  for (const headers of [
    new Headers(signed),
    ofNode,
    Object.entries(signed),
    new Map(Object.entries(signed)),
  ]) {
    assert.equal((await webhook.verify(BODY, headers)).id, "evt_1");
  }
});

test("headers that only look iterable are a plain object", async () => {
  const headers = { ...signed, [Symbol.iterator]: "not a function" };
  assert.equal((await webhook.verify(BODY, headers as Record<string, string>)).id, "evt_1");
});

test("headers that cannot be read are malformed", async () => {
  const fail = (): never => {
    throw new Error("gone");
  };
  for (const headers of [
    Object.defineProperty({ ...signed }, "webhook-id", { get: fail, enumerable: true }),
    { [Symbol.iterator]: fail },
    { [Symbol.iterator]: () => 5 },
    new Proxy(signed, { ownKeys: fail }),
    new Proxy(signed, { has: fail }),
  ] as Record<string, string>[]) {
    await assert.rejects(webhook.verify(BODY, headers), { code: "malformed_header" });
  }
});

test("bytes that were transferred away are no body", async () => {
  for (const view of [new Uint8Array(new ArrayBuffer(8), 4), new DataView(new ArrayBuffer(8), 4)]) {
    structuredClone(view.buffer, { transfer: [view.buffer] });
    await assert.rejects(webhook.verify(view as Uint8Array, signed), { code: "body_not_raw" });
  }
});

test("a header that arrived twice is refused, however it is held", async () => {
  const joined = new Headers(signed);
  joined.append("webhook-id", "evt_1");
  for (const headers of [joined, [...Object.entries(signed), ["webhook-id", "evt_1"] as const]]) {
    await assert.rejects(webhook.verify(BODY, headers), { code: "malformed_header" });
  }
});

test("bytes of another realm and parts of larger buffers are read", async () => {
  const foreign = runInNewContext("new Uint8Array(bytes)", { bytes: [...Buffer.from(BODY)] });
  assert.ok(!(foreign instanceof Uint8Array));
  const part = Buffer.from(`[${BODY}]`).subarray(1, -1);
  for (const body of [foreign, part]) assert.equal((await webhook.verify(body, signed)).id, "evt_1");
});

test("bytes that change while the signature is checked change nothing", async () => {
  const body = Buffer.from(BODY);
  const verified = webhook.verify(body, signed);
  body.write("refunded", BODY.indexOf("captured"));
  assert.equal((await verified).type, "payment.captured");
});

test("the error is an Error with a name, a code and the cause", async () => {
  const headers = await webhook.sign("evt_1", NOW, "{");
  await assert.rejects(webhook.verify("{", headers), (error) => {
    assert.ok(error instanceof WebhookVerificationError && error instanceof Error);
    assert.equal(
      String(error),
      "WebhookVerificationError: the body is not JSON in UTF-8 (malformed_payload)",
    );
    assert.ok(error.cause instanceof SyntaxError);
    return true;
  });
});
