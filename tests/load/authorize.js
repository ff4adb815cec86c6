// One authorization after another from each virtual user, every one under an idempotency key of its own.
// Read by tests/load/embedded.py, which hands in TARGET, RUN, DURATION and BODY and reads the one line of JSON.
import http from 'k6/http';
import { check } from 'k6';

export const options = {
  vus: Number(__ENV.USERS),
  duration: __ENV.DURATION,
  discardResponseBodies: true,
  summaryTrendStats: ['med', 'p(95)', 'max'],
};

export default function () {
  const response = http.post(`${__ENV.TARGET}/v1/authorize`, __ENV.BODY, {
    headers: {
      'content-type': 'application/json',
      'x-api-key': __ENV.API_KEY,
      'x-idempotency-key': `${__ENV.RUN}-${__VU}-${__ITER}`,
    },
  });
  check(response, { 'status is 201': (answer) => answer.status === 201 });
}

export function handleSummary(data) {
  const { http_reqs, http_req_duration, checks } = data.metrics;
  const line = {
    requests: http_reqs.values.count,
    seconds: data.state.testRunDurationMs / 1000,
    p50_ms: http_req_duration.values.med,
    p95_ms: http_req_duration.values['p(95)'],
    max_ms: http_req_duration.values.max,
    refused: checks.values.fails,
  };
  return { stdout: JSON.stringify(line) + '\n' };
}
