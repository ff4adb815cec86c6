/** The shared vectors: this library, and where they define it the public package, agree with each. */

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import * as standardwebhooks from "standardwebhooks";
import { ERROR_CODES, Webhook, type WebhookEvent } from "@payments-sandbox/webhooks-verifier";

interface Case {
  name: string;
  secrets: string[];
  tolerance_seconds: number;
  now: number;
  headers: Record<string, string>;
  body?: string;
  body_base64?: string;
  body_value?: unknown;
  expect: { event: WebhookEvent; error?: undefined } | { event?: undefined; error: string };
  public: boolean;
}

interface Vectors {
  cases: Case[];
  secrets: { name: string; secret: string; valid: boolean }[];
  signatures: { secret: string; id: string; timestamp: number; body: string; signature: string }[];
}

// From dist-test/ as from test/, two levels up.
const vectors: Vectors = JSON.parse(
  readFileSync(new URL("../../vectors/vectors.json", import.meta.url), "ascii"),
);

function bodiesOf(vector: Case): (string | Buffer)[] {
  if (vector.body !== undefined) return [vector.body, Buffer.from(vector.body)];
  if (vector.body_base64 !== undefined) return [Buffer.from(vector.body_base64, "base64")];
  return [vector.body_value as string];
}

for (const vector of vectors.cases) {
  test(`the library agrees: ${vector.name}`, async () => {
    const { secrets, headers, tolerance_seconds: toleranceSeconds, expect } = vector;
    const webhook = new Webhook(secrets, { toleranceSeconds, clock: () => vector.now });
    for (const body of bodiesOf(vector)) {
      if (expect.event) assert.deepEqual(await webhook.verify(body, headers), expect.event);
      else {
        await assert.rejects(webhook.verify(body, headers), {
          name: "WebhookVerificationError",
          code: expect.error,
        });
      }
    }
  });
}

for (const vector of vectors.cases.filter((each) => each.public)) {
  test(`the public package agrees: ${vector.name}`, (context) => {
    context.mock.method(Date, "now", () => vector.now * 1000);
    const verifyWithAnySecret = (body: string | Buffer): unknown => {
      for (const secret of vector.secrets) {
        // The public package takes one secret at a time.
        try {
          return new standardwebhooks.Webhook(secret).verify(body, vector.headers);
        } catch (error) {
          assert.ok(error instanceof standardwebhooks.WebhookVerificationError);
        }
      }
      return "refused";
    };
    for (const body of bodiesOf(vector)) {
      assert.deepEqual(verifyWithAnySecret(body), vector.expect.event?.payload ?? "refused");
    }
  });
}

for (const { name, secret, valid } of vectors.secrets) {
  test(`a secret of ${name} is ${valid ? "taken" : "refused"}`, () => {
    if (valid) new Webhook(secret);
    else assert.throws(() => new Webhook(secret), /^TypeError: .*secret/);
  });
}

test("signing gives the known answers", async () => {
  for (const { secret, id, timestamp, body, signature } of vectors.signatures) {
    assert.deepEqual(await new Webhook(secret).sign(id, timestamp, body), {
      "webhook-id": id,
      "webhook-timestamp": String(timestamp),
      "webhook-signature": signature,
    });
  }
});

test("every code has a vector", () => {
  const codes = vectors.cases.flatMap(({ expect }) => expect.error ?? []);
  assert.deepEqual(new Set(codes), new Set<string>(ERROR_CODES));
});
