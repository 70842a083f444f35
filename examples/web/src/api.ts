import createClient, { type Middleware } from "openapi-fetch";
import { authClient } from "./auth";
import type { paths } from "./schema";

async function fetchToken() {
  const { data, error } = await authClient.token();
  if (error) throw new Error(error.status === 401 ? "You are signed out. Sign in again." : "Signing in does not work.");
  return data.token;
}

/** The tasks API for whoever is signed in now. It keeps their token in memory: make another one for another session. */
export function createApi(baseUrl: string, signal?: AbortSignal) {
  let token: Promise<string> | undefined;
  /** The token, or another one if it is `refused`. Whoever asks while one is on its way waits for the same. */
  const getToken = (refused?: Promise<string>) => {
    if (token === refused) token = undefined;
    return (token ??= fetchToken().catch((error) => {
      token = undefined; // the next request asks again
      throw error;
    }));
  };
  const authorize: Middleware = {
    async onRequest({ request }) {
      const again = request.clone(); // a body can be read only once
      const used = getToken();
      request.headers.set("Authorization", `Bearer ${await used}`);
      const response = await fetch(request);
      if (response.status !== 401) return response;
      again.headers.set("Authorization", `Bearer ${await getToken(used)}`);
      return fetch(again);
    },
  };
  const api = createClient<paths>({ baseUrl, signal });
  api.use(authorize);
  return api;
}
