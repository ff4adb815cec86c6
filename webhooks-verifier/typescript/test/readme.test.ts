/** The README's quick start runs, and its table of errors is that of the code. */

import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { ERROR_CODES, Webhook } from "@payments-sandbox/webhooks-verifier";

const SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const BODY = '{"type":"payment.captured","timestamp":"2023-01-19T00:13:51Z","data":{}}';
const readme = readFileSync(new URL("../../README.md", import.meta.url), "utf8");

test("the quick start accepts a good event and refuses a bad one", async (context) => {
  // Beside the compiled tests, where this package is found by name.
  const file = new URL("readme-quick-start.mjs", import.meta.url);
  writeFileSync(file, readme.split("```js\n")[1]?.split("```")[0] ?? "");
  process.env["WEBHOOK_SECRET"] = SECRET;
  const { receive } = await import(file.href);
  const log = context.mock.method(console, "log", () => {});
  const headers = await new Webhook(SECRET).sign("evt_1", Math.floor(Date.now() / 1000), BODY);
  assert.equal(await receive(BODY, headers), 204);
  assert.equal(await receive(`${BODY} `, headers), 400);
  const logged = log.mock.calls.map((call) => call.arguments);
  assert.deepEqual(logged, [["evt_1", "payment.captured", {}], ["refused: no_matching_signature"]]);
});

test("the table of errors lists every code in order", () => {
  const codes = [...readme.matchAll(/^\| `(\w+)` \|/gm)].map((match) => match[1]);
  assert.deepEqual(codes, ERROR_CODES);
});
