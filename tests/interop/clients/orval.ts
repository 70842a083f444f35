// Types and requests by orval.
import { createTask, _export, _import, listTasks, replaceTask, updateTask } from "./client/orval";
import { report, user_id } from "./settings";

const keyed = { headers: { "Idempotency-Key": "orval" } };
const body = { title: "Feed the cat", priority: "high" as const, tags: ["Home"], due_date: "2026-12-24T18:00:00Z" };
const first = await createTask(user_id, body, keyed);
const second = await createTask(user_id, body, keyed);

const listed = await listTasks(user_id, { priority: ["high", "none"], tag: ["home"], status: "pending" });
if (listed.status !== 200) throw new Error(`listed: ${listed.status}`);
const [before] = listed.data;

await updateTask(user_id, before!.id, { title: "Feed the dog", due_date: null });
const refused = await replaceTask(user_id, before!.id, before!, { headers: { "If-Match": `"${before!.revision}"` } });
if (refused.status !== 412) throw new Error(`refused: ${refused.status}`);
const after = await replaceTask(user_id, before!.id, before!);

const archive = await _export(user_id);
if (archive.status !== 200 || typeof archive.data === "string") throw new Error(`exported: ${archive.status}`);
const imported = await _import(user_id, archive.data);

report({
  replayed: [first, second].map(({ headers }) => headers.get("Idempotency-Replayed")),
  listed: listed.data.length,
  before,
  after: after.data,
  refused: refused.data.type,
  imported: imported.data,
});
