/** The Express receiver of examples/, as a process of its own: good and bad events over HTTP. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { copyFileSync } from "node:fs";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { Webhook } from "@payments-sandbox/webhooks-verifier";

const NEW_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OLD_SECRET = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const BODY = '{ "type": "payment.captured", "timestamp": "2023-01-19T00:13:51Z", "data": {"id": "cap_1"} }';

// Beside the compiled tests, where express and this package are found by name.
const example = fileURLToPath(new URL("express_receiver.mjs", import.meta.url));
copyFileSync(new URL("../../examples/express_receiver.mjs", import.meta.url), example);

const receiver = spawn(process.execPath, [example], {
  env: { ...process.env, WEBHOOK_SECRETS: `${NEW_SECRET} ${OLD_SECRET}`, PORT: "0" },
  stdio: ["ignore", "pipe", "inherit"],
});
after(() => receiver.kill());
const [greeting] = await once(receiver.stdout, "data");
const port = /port (\d+)/.exec(String(greeting))?.[1];

async function post(body: BodyInit | null, headers: HeadersInit): Promise<[number, string?]> {
  const response = await fetch(`http://127.0.0.1:${port}/webhooks`, { method: "POST", body, headers });
  if (response.status === 204) return [204];
  const { code } = (await response.json()) as { code: string };
  return [response.status, code];
}

function sign(id: string, { secret = NEW_SECRET, ageSeconds = 0 } = {}) {
  return new Webhook(secret).sign(id, Math.floor(Date.now() / 1000) - ageSeconds, BODY);
}

test("a good event is stored once, however often it is delivered", async (context) => {
  process.env["WEBHOOK_SECRETS"] = NEW_SECRET;
  const { createApp, inbox } = await import(example);
  const server = createApp().listen(0, "127.0.0.1");
  context.after(() => server.close());
  await once(server, "listening");
  for (const ageSeconds of [2, 1, 0]) {
    // Each attempt has a timestamp and a signature of its own.
    const headers = await sign("evt_1", { ageSeconds });
    const url = `http://127.0.0.1:${server.address().port}/webhooks`;
    assert.equal((await fetch(url, { method: "POST", body: BODY, headers })).status, 204);
  }
  assert.deepEqual([...inbox], [["evt_1", JSON.parse(BODY)]]);
});

test("an event signed with either secret is taken while rotating", async () => {
  assert.deepEqual(await post(BODY, await sign("evt_1", { secret: OLD_SECRET })), [204]);
  assert.deepEqual(await post(BODY, await sign("evt_2", { secret: NEW_SECRET })), [204]);
});

test("a bad event is answered with 400", async () => {
  const { "webhook-id": _, ...withoutId } = await sign("evt_1");
  const headers = await sign("evt_1");
  assert.deepEqual(await post(BODY, withoutId), [400, "missing_header"]);
  assert.deepEqual(await post(BODY, await sign("evt_1", { ageSeconds: 400 })), [400, "timestamp_too_old"]);
  assert.deepEqual(await post(BODY.replace("cap_1", "cap_2"), headers), [400, "no_matching_signature"]);
  assert.deepEqual(await post(BODY.replaceAll(" ", ""), headers), [400, "no_matching_signature"]);
  assert.deepEqual(await post(Uint8Array.of(0xff, 0), headers), [400, "no_matching_signature"]);
  assert.deepEqual(await post(null, headers), [400, "no_matching_signature"]);
  const twice = [...Object.entries(headers), ["webhook-id", "evt_1"]] as [string, string][];
  assert.deepEqual(await post(BODY, twice), [400, "malformed_header"]);
});
