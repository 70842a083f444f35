// What orval's functions send their requests with: it knows the server and the token.
import { baseUrl, token } from "./settings";

export async function orvalFetch<T>(path: string, options: RequestInit): Promise<T> {
  const headers = { ...options.headers, Authorization: `Bearer ${token}` };
  const response = await fetch(baseUrl + path, { ...options, headers });
  const data = response.status === 204 || response.status === 304 ? undefined : await response.json();
  return { data, status: response.status, headers: response.headers } as T;
}
