// Types and requests by @hey-api/openapi-ts, which also reads the stream of events.
import { createTask, export_, import_, listen, listTasks, replaceTask, updateTask } from "./client/hey-api";
import { client } from "./client/hey-api/client.gen";
import { baseUrl, report, token, user_id } from "./settings";

client.setConfig({ baseUrl, auth: token });
const path = { user_id };

const body = { title: "Feed the cat", priority: "high" as const, tags: ["Home"], due_date: "2026-12-24T18:00:00Z" };
const headers = { "Idempotency-Key": "hey-api" };
const first = await createTask({ path, headers, body });
const second = await createTask({ path, headers, body });

const listed = await listTasks({ path, query: { priority: ["high", "none"], tag: ["home"], status: "pending" } });
const [before] = listed.data!;

const one = { user_id, task_id: before!.id };
await updateTask({ path: one, body: { title: "Feed the dog", due_date: null } });
const refused = await replaceTask({ path: one, headers: { "If-Match": `"${before!.revision}"` }, body: before! });
const after = await replaceTask({ path: one, body: before! });

const archive = await export_({ path });
if (typeof archive.data !== "object") throw new Error(`exported: ${archive.response?.status}`);
const imported = await import_({ path, body: archive.data });

const listening = new AbortController();
const { stream } = await listen({ path, headers: { "Last-Event-ID": "1" }, signal: listening.signal });
const event = (await stream.next()).value;
listening.abort();

report({
  replayed: [first, second].map(({ response }) => response!.headers.get("Idempotency-Replayed")),
  listed: listed.data!.length,
  before,
  after: after.data,
  refused: refused.error!.type,
  imported: imported.data,
  told: typeof event === "object" ? event.revision : event,
});
