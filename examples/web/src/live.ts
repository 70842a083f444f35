// Hears of changes as they are made. Knows the API and no React, and what a change is only as a revision.
import type { createApi } from "./api";

const FIRST_WAIT = 500;
const LONGEST_WAIT = 1000;

/**
 * Calls `onRevision` with the newest revision, at once and after each change, until `signal` says so. A stream that ends (the
 * token has expired, the server restarts) is opened again; one that cannot be opened is tried again and again.
 *
 * Read with fetch, for a browser's EventSource cannot send a bearer token.
 */
export async function listen(
  api: ReturnType<typeof createApi>,
  user_id: string,
  onRevision: (revision: number) => void,
  signal: AbortSignal,
) {
  let last: string | undefined;
  let wait = FIRST_WAIT;
  while (!signal.aborted) {
    try {
      const header = last === undefined ? undefined : { "Last-Event-ID": last };
      const { data, response } = await api.GET("/api/{user_id}/events", {
        params: { path: { user_id }, header },
        parseAs: "stream",
        signal,
      });
      if (response.status === 400) last = undefined; // not an id of this server
      if (data) {
        wait = FIRST_WAIT;
        for await (const id of ids(data as ReadableStream<Uint8Array>)) onRevision(Number((last = id)));
      }
    } catch {
      // No answer, or it was cut off.
    }
    // Not all at once, when a server comes back.
    const pause = wait * (0.5 + Math.random() / 2);
    if (!signal.aborted) await new Promise((resolve) => setTimeout(resolve, pause));
    wait = Math.min(wait * 2, LONGEST_WAIT);
  }
}

/** The ids of the events of a stream (WHATWG HTML, section 9.2.6); comments and `retry` have none. */
async function* ids(stream: ReadableStream<Uint8Array>) {
  const reader = stream.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>).getReader();
  let text = "";
  try {
    for (let read = await reader.read(); !read.done; read = await reader.read()) {
      const events = (text + read.value).split("\n\n");
      text = events.pop() ?? "";
      for (const event of events) {
        const [, id] = /^id: (.*)$/m.exec(event) ?? [];
        if (id !== undefined) yield id;
      }
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}
