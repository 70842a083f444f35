// src/api.ts and src/tasks.ts with Better Auth's own client, over HTTP to servers that answer what the test wants.
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import { after, afterEach, beforeEach, test } from "node:test";
import { runnerImport } from "vite";

/** A server of `answer(request, body)`, which gives a status, and JSON that may come later. */
async function serve(answer) {
  const server = createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request) body += chunk;
    const { status = 200, json, headers } = await answer(request, body);
    response.writeHead(status, { "Content-Type": "application/json", ...headers }).end(json && JSON.stringify(json));
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  after(() => (server.closeAllConnections(), server.close()));
  return `http://127.0.0.1:${server.address().port}`;
}

let tokens, refusals, seen, answer;
beforeEach(() => {
  tokens = 0; // how many Better Auth has made: the newest is `token-<tokens>`
  refusals = 0; // how many more it is to refuse
  seen = []; // what reached the API
  answer = () => ({ json: task(1) });
});

process.env.BETTER_AUTH_URL = await serve(() =>
  refusals-- > 0 ? { status: 401, json: { message: "Unauthorized" } } : { json: { token: `token-${++tokens}` } },
);
const api_url = await serve((request, body) => {
  seen.push({ method: request.method, url: request.url, token: request.headers.authorization, match: request.headers["if-match"], body });
  return answer(request, body);
});
const { createApi } = (await runnerImport("./src/api.ts")).module;
const { TaskStore } = (await runnerImport("./src/tasks.ts")).module;

const problem = (status, detail) => ({ status, json: { type: "urn:tasks:problem:x", title: "x", status, detail } });
const task = (id, members) => ({ id, title: `Task ${id}`, description: null, completed: false, revision: id, ...members });
const changes = (tasks, deleted = [], revision = 9, has_more = false) => {
  return { json: { tasks, deleted, lists: [], deleted_lists: [], revision, has_more } };
};
const isNewest = ({ headers }) => headers.authorization === `Bearer token-${tokens}`;
const create = (api, title) => api.POST("/api/{user_id}/tasks", { params: { path: { user_id: "u1" } }, body: { title } });
const stores = [];
/** It is closed after its test, so that nothing it asks is taken for the next one's. */
function openStore(url) {
  stores.push(new TaskStore(url, "u1"));
  return stores.at(-1);
}
afterEach(() => stores.splice(0).forEach((store) => store.close()));

/** Something to wait for, until somebody opens it. */
function gate() {
  let open;
  const opened = new Promise((resolve) => (open = resolve));
  return { opened, open };
}

test("requests that start together fetch one token, and later ones keep it", async () => {
  const api = createApi(api_url);

  await Promise.all([create(api, "a"), create(api, "b")]);
  await create(api, "c");

  assert.equal(tokens, 1);
  assert.deepEqual(new Set(seen.map(({ token }) => token)), new Set(["Bearer token-1"]));
});

test("several 401s share one renewal, and each request is sent again with its body", async () => {
  const api = createApi(api_url);
  await create(api, "first");
  tokens = 9; // token-1 is refused from now on
  answer = (request) => (isNewest(request) ? { json: task(1) } : problem(401, "Expired."));
  seen = [];

  const answers = await Promise.all(["a", "b", "c"].map((title) => create(api, title)));

  assert.equal(tokens, 10);
  assert.deepEqual(answers.map(({ response }) => response.status), [200, 200, 200]);
  assert.equal(seen.length, 6);
  const accepted = seen.filter(({ token }) => token === "Bearer token-10");
  assert.deepEqual(accepted.map(({ body }) => JSON.parse(body).title).sort(), ["a", "b", "c"]);
});

test("a 401 that comes after the renewal does not ask for another token", async () => {
  const api = createApi(api_url);
  const late = gate();
  answer = async (request, body) => {
    if (body.includes("slow") && request.headers.authorization === "Bearer token-1") await late.opened;
    return request.headers.authorization === "Bearer token-1" ? problem(401, "Expired.") : { json: task(1) };
  };

  const slow = create(api, "slow");
  await create(api, "quick");
  late.open();
  await slow;

  assert.equal(tokens, 2);
});

test("a request is sent again only once", async () => {
  answer = () => problem(401, "Never.");

  const { error, response } = await create(createApi(api_url), "a");

  assert.equal(response.status, 401);
  assert.equal(error.detail, "Never.");
  assert.equal(seen.length, 2);
});

test("a token that could not be had is asked for again", async () => {
  const api = createApi(api_url);
  refusals = 1;

  await assert.rejects(create(api, "a"), /You are signed out/);
  const { response } = await create(api, "a");

  assert.equal(response.status, 200);
});

test("a change is shown at once, and what the server made of it afterwards", async () => {
  const store = openStore(api_url);
  const held = gate();
  answer = async () => (await held.opened, { status: 201, json: task(7, { title: "Trimmed" }) });

  const added = store.add({ title: " Trimmed" });
  const shown = store.getState().tasks;
  held.open();

  assert.deepEqual(await added, task(7, { title: "Trimmed" }));
  assert.deepEqual(shown.map(({ title, saving }) => [title, saving]), [[" Trimmed", true]]);
  assert.deepEqual(store.getState().tasks, [task(7, { title: "Trimmed" })]);
});

test("what is refused is taken back, with the server's sentence, and what was sent beside it stays", async () => {
  const store = openStore(api_url);
  answer = () => changes([task(2), task(1)]);
  await store.load();
  const full = problem(503, "Try again in a moment.");
  const done = task(1, { completed: true });
  answer = (request) => (request.method === "DELETE" ? full : request.method === "GET" ? changes([done]) : { json: done });

  const writes = [store.remove(task(2)), store.complete(task(1), true)];
  const shown = store.getState().tasks;

  assert.deepEqual(await Promise.all(writes), [undefined, done]);
  assert.deepEqual(shown, [task(1, { completed: true, saving: true })]);
  assert.deepEqual(store.getState().tasks, [task(2), task(1, { completed: true })]);
  assert.equal(store.getState().alert, "Try again in a moment.");
});

test("changes are sent in the order of the clicks, each when the one before is answered", async () => {
  const store = openStore(api_url);
  let open = 0, most = 0;
  answer = async () => {
    most = Math.max(most, ++open);
    await new Promise(setImmediate);
    open--;
    return { json: task(1) };
  };

  await Promise.all([true, false, true].map((completed) => store.complete(task(1), completed)));

  const writes = seen.filter(({ method }) => method === "PATCH");
  assert.deepEqual(writes.map(({ body }) => JSON.parse(body).completed), [true, false, true]);
  assert.equal(most, 1);
});

test("an edit names the revision that the person saw; where that is over, they get to see the newest", async () => {
  const store = openStore(api_url);
  const theirs = task(1, { title: "Theirs", revision: 8 });
  answer = (request) => (request.method === "GET" ? changes([theirs]) : problem(412, "x"));

  const accepted = await store.edit(task(1, { revision: 5 }), { title: "Mine", description: null });

  assert.equal(accepted, undefined);
  assert.equal(seen.find(({ method }) => method === "PATCH").match, '"5"');
  assert.equal(store.getState().tasks[0].title, "Theirs");
  assert.match(store.getState().alert, /changed elsewhere/);
});

const OCCURRENCE = { completed_occurrence: { due_date: "2026-11-28", completed_at: "2026-11-28T20:00:00.500000Z", skipped: 0 } };
for (const [members, id] of [
  [{ completed_at: "2026-11-28T20:00:00Z" }, "1-1795896000000000"],
  [{ completed_at: "2026-11-28T20:00:00.00012Z" }, "1-1795896000000120"],
  [{ completed_at: null, ...OCCURRENCE }, "1-1795896000500000"],
])
  test(`a completion is taken back by its id, ${id}, and shown so at once`, async () => {
    const store = openStore(api_url);
    const [before, part] = [task(1, { due_date: "2026-11-28" }), task(2, { parent_id: 1 })];
    answer = () => changes([task(1, members), { ...part, completed: true }]);
    await store.load();
    const held = gate();
    answer = async (request) => (await held.opened, request.method === "GET" ? changes([part]) : { json: before });

    const undone = store.undoCompletion([before, part], task(1, members));
    const shown = store.getState().tasks.map(({ completed, due_date }) => [completed, due_date]);
    held.open();

    assert.deepEqual(await undone, before);
    assert.deepEqual(shown, [[false, undefined], [false, "2026-11-28"]]);
    assert.deepEqual(seen.filter(({ method }) => method !== "GET").map(({ method, url }) => [method, url]), [
      ["DELETE", `/api/u1/completions/${id}`],
    ]);
    assert.equal(store.getState().tasks[1].due_date, "2026-11-28");
  });

for (const status of [404, 412])
  test(`a completion that cannot be taken back (${status}) is said in words, and the task stays as it is now`, async () => {
    const store = openStore(api_url);
    const now = task(1, { title: "Theirs", completed_at: "2026-11-28T20:00:00Z" });
    answer = (request) => (request.method === "GET" ? changes([now]) : problem(status, "x"));

    const undone = await store.undoCompletion([task(1)], task(1, { completed_at: "2026-11-28T20:00:00Z" }));

    assert.equal(undone, undefined);
    assert.deepEqual(store.getState().tasks, [now]);
    assert.match(store.getState().alert, /has changed since it was completed/);
  });

test("a copy is made page by page, and then asks for what it lacks", async () => {
  const store = openStore(api_url);
  const tokens = [];
  const pages = { 0: [[task(1), task(2)], [], 2, true], 2: [[task(3)], [1], 3, false], 3: [[], [], 3, false] };
  answer = (request) => {
    const since = new URL(request.url, api_url).searchParams.get("since");
    tokens.push(since);
    return changes(...pages[since]);
  };

  await store.load();
  await store.load();

  assert.deepEqual(store.getState().tasks.map(({ id }) => id), [3, 2]);
  assert.deepEqual(tokens, ["0", "2", "3"]);
});

test("a draft of a subtask stands below its task at once, and both go together", async () => {
  const store = openStore(api_url);
  answer = () => changes([task(1)]);
  await store.load();
  const held = gate();
  answer = async () => (await held.opened, { status: 201, json: task(2, { parent_id: 1 }) });

  const added = store.addSubtask("Part", task(1));
  const below = store.subtasksOf(task(1)).map(({ title }) => title);
  held.open();
  await added;
  answer = (request) => (request.method === "DELETE" ? { status: 204 } : changes([]));
  await store.remove(task(1));

  assert.deepEqual(below, ["Part"]);
  assert.deepEqual(store.getState().tasks, []);
});

test("nothing is left of a list that was closed, also when its answer comes late", async () => {
  const store = openStore(api_url);
  const [arrived, held] = [gate(), gate()];
  let news = 0;
  answer = async () => (arrived.open(), await held.opened, changes([task(1)]));
  const loading = store.load();
  await arrived.opened;
  store.subscribe(() => news++);

  store.close();
  const unsent = store.add({ title: "for nobody" });
  held.open();
  await Promise.all([loading, unsent]);

  assert.deepEqual(store.getState().tasks, []);
  assert.deepEqual([store.getState().alert, news, seen.length], ["", 0, 1]);
});

/** A server of the tasks API with changes and a stream, as far as a list needs them. */
function liveServer() {
  const state = { revision: 1, tasks: new Map([[1, task(1)]]), log: [[1, 1]], horizon: 0, streams: new Set(), opened: [] };
  state.write = (id, members) => {
    state.revision += 1;
    if (members) state.tasks.set(id, { ...task(id), ...members, revision: state.revision });
    else state.tasks.delete(id);
    state.log.push([state.revision, id]);
    for (const stream of state.streams) stream.write(event(state.revision));
  };
  const event = (id) => `event: changed\ndata: {"revision":${id}}\nid: ${id}\n\n`;
  const page = (since) => {
    if (since && since < state.horizon) return { status: 410, json: { status: 410, detail: "Start again." } };
    const log = since < state.horizon ? [...state.tasks.values()].map(({ id, revision }) => [revision, id]) : state.log;
    const found = log.filter(([revision]) => revision > since).slice(0, 2); // two at a time
    const ids = [...new Set(found.map(([, id]) => id))];
    const revision = found.at(-1)?.[0] ?? state.revision;
    const tasks = ids.filter((id) => state.tasks.has(id)).map((id) => state.tasks.get(id));
    return changes(tasks, ids.filter((id) => !state.tasks.has(id)), revision, revision < state.revision);
  };
  state.server = createServer((request, response) => {
    const url = new URL(request.url, "http://x");
    if (url.pathname.endsWith("/events")) {
      state.opened.push(request.headers["last-event-id"]);
      response.writeHead(200, { "Content-Type": "text/event-stream" }).write(`retry: 2000\n\n: ping\n\n${event(state.revision)}`);
      state.streams.add(response);
      return void response.on("close", () => state.streams.delete(response));
    }
    const { status = 200, json } = page(+url.searchParams.get("since"));
    response.writeHead(status, { "Content-Type": "application/json" }).end(JSON.stringify(json));
  }).listen(0, "127.0.0.1");
  after(() => (state.server.closeAllConnections(), state.server.close()));
  return once(state.server, "listening").then(() => state);
}

/** A list that follows, and something that waits until it shows what the server has. */
async function following(state) {
  const store = openStore(`http://127.0.0.1:${state.server.address().port}`);
  await store.load();
  store.follow();
  const same = () => {
    const newest = [...state.tasks.values()].sort((a, b) => b.id - a.id);
    return JSON.stringify(store.getState().tasks) === JSON.stringify(newest);
  };
  const whole = () =>
    same() ? undefined : new Promise((done) => store.subscribe(() => same() && done()));
  return { store, whole };
}

test("a list that follows shows what others add, change and delete", { timeout: 10_000 }, async () => {
  const state = await liveServer();
  const { whole } = await following(state);

  for (let id = 2; id < 8; id++) state.write(id, { title: `of another tab ${id}` });
  state.write(3, { completed: true });
  state.write(4);
  await whole();
});

test("a stream that breaks is resumed, and what was missed is caught up with", { timeout: 10_000 }, async () => {
  const state = await liveServer();
  const { whole } = await following(state);
  state.write(2, {});
  await whole();

  for (const stream of state.streams) stream.destroy();
  state.write(3, { title: "while nobody listened" });
  await whole();

  assert.equal(state.opened[0], undefined);
  assert.match(state.opened.at(-1), /^[0-9]+$/);
});

test("a list that is too far behind starts again", { timeout: 10_000 }, async () => {
  const state = await liveServer();
  const { whole } = await following(state);
  state.horizon = 10;
  state.tasks.clear();
  state.revision = 20;
  state.write(9, { title: "after an erasure" });
  await whole();
});

test("a closed list listens no more", { timeout: 10_000 }, async () => {
  const state = await liveServer();
  const { store, whole } = await following(state);
  state.write(2, {});
  await whole();

  const [stream] = state.streams;
  const ended = once(stream, "close");
  store.close();
  await ended;

  assert.deepEqual(store.getState().tasks, []);
});
