// Types by openapi-typescript, requests by openapi-fetch.
import createClient from "openapi-fetch";
import type { paths } from "./client/schema";
import { baseUrl, report, token, user_id } from "./settings";

const api = createClient<paths>({ baseUrl, headers: { Authorization: `Bearer ${token}` } });
const path = { user_id };

const body = { title: "Feed the cat", priority: "high" as const, tags: ["Home"], due_date: "2026-12-24T18:00:00Z" };
const header = { "Idempotency-Key": "openapi-fetch" };
const first = await api.POST("/api/{user_id}/tasks", { params: { path, header }, body });
const second = await api.POST("/api/{user_id}/tasks", { params: { path, header }, body });

const listed = await api.GET("/api/{user_id}/tasks", {
  params: { path, query: { priority: ["high", "none"], tag: ["home"], status: "pending" } },
});
const [before] = listed.data!;

const params = { path: { user_id, task_id: before!.id } };
await api.PATCH("/api/{user_id}/tasks/{task_id}", { params, body: { title: "Feed the dog", due_date: null } });
const conditional = { ...params, header: { "If-Match": `"${before!.revision}"` } };
const refused = await api.PUT("/api/{user_id}/tasks/{task_id}", { params: conditional, body: before! });
const after = await api.PUT("/api/{user_id}/tasks/{task_id}", { params, body: before! });

const archive = await api.GET("/api/{user_id}/export", { params: { path } });
if (typeof archive.data !== "object") throw new Error(`exported: ${archive.response.status}`);
const imported = await api.POST("/api/{user_id}/import", { params: { path }, body: archive.data });

report({
  replayed: [first, second].map(({ response }) => response.headers.get("Idempotency-Replayed")),
  listed: listed.data!.length,
  before,
  after: after.data,
  refused: refused.error!.type,
  imported: imported.data,
});
