// An open model: every route has its own arrival rate, which rises over the
// ramp and then holds, but for a spike. Rates and lengths come from LAB_LOAD as JSON, the
// address from LAB_BASE_URL. Latencies of the plateau are written to
// LAB_SUMMARY, if that is set.
import http from 'k6/http';
import exec from 'k6/execution';
import { sleep } from 'k6';

const base = __ENV.LAB_BASE_URL;
const load = JSON.parse(__ENV.LAB_LOAD);
const json = { 'Content-Type': 'application/json' };

const eventsPerDelivery = 2400;

// One body for all deliveries: making it anew would cost the generator more
// than storing it costs the shop.
const events = JSON.stringify(Array.from({ length: eventsPerDelivery }, (_, i) =>
  ({ kind: ['view', 'click', 'scroll', 'search'][i % 4], subject: (i * 7919) % 20000, value: i % 1000 })));

const routes = {
  'GET /products/{id}': (p) => http.get(at(`/products/${load.products[random(load.products.length)]}`), p),
  'GET /products': (p) => http.get(at(`/products?category=${1 + random(load.categories)}`), p),
  'GET /products/best': (p) => http.get(at(`/products/best`), p),
  'GET /orders': (p) => http.get(at(`/orders?customer=${1 + random(load.customers)}`), p),
  'POST /orders': (p) => http.post(at(`/orders`), order(), p),
  'GET /quotes': (p) => http.get(at(`/quotes?customer=${1 + random(load.customers)}`), p),
  'GET /summary': (p) => http.get(at(`/summary?customer=${1 + random(load.customers)}`), p),
  'POST /events': (p) => http.post(at(`/events`), events, p),
};

// at is where a path is found: its first part may have another name.
function at(path) {
  return base + path.replace(/^\/[a-z]+/, (part) => `/${(load.names || {})[part.slice(1)] || part.slice(1)}`);
}

function random(n) {
  return Math.floor(Math.random() * n);
}

function order() {
  const items = [1, 2].map((n) => ({ product: (n - 1) * 10000 + 1 + random(10000), quantity: n, cents: 1000 }));
  return JSON.stringify({ customer: 1 + random(load.customers), card: '4242', items });
}

function id(route) {
  return route.toLowerCase().replace(/[^a-z]+/g, '_').replace(/_$/, '');
}

export const options = {
  scenarios: Object.fromEntries(Object.entries(load.rates).map(([route, rate]) => [id(route), {
    executor: 'ramping-arrival-rate',
    startRate: Math.max(1, Math.round(rate / 10)),
    timeUnit: '1s',
    preAllocatedVUs: load.users || Math.ceil(rate) * 2 + 5,
    maxVUs: load.users || Math.ceil(rate) * 10 + 50,
    stages: load.stages.map((stage) => ({ duration: `${stage.s}s`, target: Math.round(rate * stage.times) })),
    gracefulStop: '10s',
    env: { ROUTE: route },
    exec: 'visit',
  }])),
  // A threshold that always holds: without one, k6 keeps no statistics by tag.
  thresholds: Object.fromEntries(Object.keys(load.rates).map((route) =>
    [`http_req_duration{name:${route},phase:plateau}`, ['max>=0']])),
  summaryTrendStats: ['avg', 'med', 'p(95)', 'p(99)', 'max', 'count'],
  discardResponseBodies: true,
};

// The executor starts iterations evenly, as if customers came by appointment.
// A random wait makes them come as customers do, now and then several at once.
const jitter = 0.5;

export function visit() {
  sleep(Math.random() * jitter);
  const ramped = Date.now() - exec.scenario.startTime >= load.ramp_s * 1000;
  const route = __ENV.ROUTE;
  const headers = Object.assign({ 'X-Request-Id': `${exec.scenario.name}-${exec.vu.idInTest}-${exec.vu.iterationInInstance}` }, json);
  routes[route]({ headers, tags: { name: route, phase: ramped ? 'plateau' : 'ramp' } });
}

export function handleSummary(data) {
  const value = (metric, key) => (data.metrics[metric] ? data.metrics[metric].values[key] : 0) || 0;
  const summary = {
    dropped: value('dropped_iterations', 'count'),
    failed: value('http_req_failed', 'passes'),
    requests: value('http_reqs', 'count'),
    routes: Object.keys(load.rates).map((route) => {
      const metric = `http_req_duration{name:${route},phase:plateau}`;
      return {
        route,
        count: value(metric, 'count'),
        p50_s: value(metric, 'med') / 1000,
        p95_s: value(metric, 'p(95)') / 1000,
        p99_s: value(metric, 'p(99)') / 1000,
        max_s: value(metric, 'max') / 1000,
      };
    }),
  };
  return __ENV.LAB_SUMMARY ? { [__ENV.LAB_SUMMARY]: JSON.stringify(summary) } : { stdout: JSON.stringify(summary) + '\n' };
}
