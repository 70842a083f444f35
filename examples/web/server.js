// What signs people in, and hands out the page: Better Auth under /api/auth, everything else from dist/. Both are one
// origin, so the session cookie stays first-party; only the tasks API is elsewhere, and it gets tokens, no cookies.
import { readdir, readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, relative, sep } from "node:path";
import { betterAuth } from "better-auth";
import { getMigrations } from "better-auth/db/migration";
import { toNodeHandler } from "better-auth/node";
import { jwt } from "better-auth/plugins";
import pg from "pg";

const { BETTER_AUTH_SECRET, DATABASE_URL } = process.env;
const ORIGIN = process.env.BETTER_AUTH_URL ?? "http://localhost:3000";
const API_URL = process.env.API_URL ?? "http://localhost:8000";
const DIST = join(import.meta.dirname, "dist");
const TYPES = { ".html": "text/html; charset=utf-8", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml" };

// Better Auth would fall back to a secret that everybody knows.
if (!BETTER_AUTH_SECRET || !DATABASE_URL) throw new Error("Set BETTER_AUTH_SECRET and DATABASE_URL.");

const auth = betterAuth({
  baseURL: ORIGIN,
  secret: BETTER_AUTH_SECRET,
  database: new pg.Pool({ connectionString: DATABASE_URL }),
  emailAndPassword: { enabled: true },
  plugins: [jwt()], // EdDSA tokens that live 15 minutes; the API checks them with the keys from /api/auth/jwks
});
await (await getMigrations(auth.options)).runMigrations();

// The page may load its own files and call these two origins, and nothing else: what is injected cannot phone home.
const HEADERS = {
  "Content-Security-Policy": [
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'",
    `connect-src 'self' ${API_URL}`,
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'",
  ].join("; "),
  "X-Content-Type-Options": "nosniff",
  "Referrer-Policy": "same-origin",
};

/** Every file of the page by its path. Only what is in here is ever answered. */
async function readPage() {
  const files = new Map();
  for (const entry of await readdir(DIST, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const file = join(entry.parentPath, entry.name);
    files.set(`/${relative(DIST, file).split(sep).join("/")}`, await readFile(file));
  }
  const index = String(files.get("/index.html")).replace('name="api-url" content=""', `name="api-url" content="${API_URL}"`);
  return files.set("/", Buffer.from(index)).set("/index.html", Buffer.from(index));
}

const page = await readPage();
const answerAuth = toNodeHandler(auth);

createServer((request, response) => {
  if (request.headers.host !== new URL(ORIGIN).host) {
    // Such as 127.0.0.1, which has no cookies of localhost and is not an origin that Better Auth trusts.
    response.writeHead(308, { Location: ORIGIN }).end();
    return;
  }
  const path = request.url.split("?", 1)[0];
  if (path.startsWith("/api/auth/")) {
    answerAuth(request, response).catch(() => {
      // Some requests cannot be read at all, as TRACE or an X-Forwarded-Proto that is none.
      if (!response.headersSent) response.writeHead(400);
      response.end();
    });
    return;
  }
  const body = page.get(path);
  if (!body || request.method !== "GET") {
    response.writeHead(body ? 405 : 404, { ...HEADERS, "Content-Type": "text/plain" }).end("There is nothing here.\n");
    return;
  }
  // Built files have their hash in their name; the page itself names the newest ones.
  const caching = path.startsWith("/assets/") ? "public, max-age=31536000, immutable" : "no-cache";
  response.writeHead(200, { ...HEADERS, "Content-Type": TYPES[extname(path)] ?? TYPES[".html"], "Cache-Control": caching });
  response.end(body);
}).listen(Number(process.env.PORT ?? new URL(ORIGIN).port), "localhost");
