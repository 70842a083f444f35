// A copy of what one user has on the server, which follows it. Knows the API and no React, nor what people do with tasks.
import { createApi } from "./api";
import { listen } from "./live";
import type { components } from "./schema";

export type Task = components["schemas"]["Task"];
export type NamedList = components["schemas"]["NamedList"];
/**
 * `saving`: what is shown is on its way to the server, which may still refuse it. `after`: the task that it was put behind,
 * or null for the front, as long as the server has not said where that is.
 */
export type ShownTask = Task & { saving?: true; after?: number | null };

export interface State {
  /** Newest first. */
  tasks: ShownTask[];
  /** Those that are not archived, in their order. */
  lists: NamedList[];
  /** Whether the copy is still being made. */
  loading: boolean;
  /** What went wrong last, as a sentence for a person. */
  alert: string;
}

type ChangeList = components["schemas"]["ChangeList"];
type Problem = components["schemas"]["Problem"];
export type Answer<Data> = { data?: Data; error?: Problem; response: Response };
/** A change that is on its way, as what it does to the tasks that the server told us of. */
export type Change = (tasks: ShownTask[]) => ShownTask[];

const PAGE_SIZE = 500;
const CHANGED = "This task was changed elsewhere in the meantime. Compare, and save again if you still want to.";
const UNREACHABLE = "The server cannot be reached. Check your connection and try again.";
const NOTHING: State = { tasks: [], lists: [], loading: true, alert: "" };

/** Lives as long as one session does. */
export class Copy {
  #state = NOTHING;
  #confirmed = new Map<number, Task>();
  #lists = new Map<number, NamedList>();
  #changes: Change[] = [];
  /** The sync token: what was changed up to here is in the copy. */
  #since = 0;
  #turn: Promise<unknown> = Promise.resolve();
  readonly #listeners = new Set<() => void>();
  readonly #closing = new AbortController();
  protected readonly user: { user_id: string };
  protected readonly api;

  constructor(apiUrl: string, user_id: string) {
    this.user = { user_id };
    this.api = createApi(apiUrl, this.#closing.signal);
  }

  /** For React's useSyncExternalStore, and its like elsewhere. */
  subscribe = (listener: () => void) => {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  };
  getState = () => this.#state;

  /** Forget everything. What is on its way is given up, and an answer that comes all the same is dropped. */
  close() {
    this.#closing.abort();
    this.#confirmed.clear();
    this.#lists.clear();
    this.#changes = [];
    this.#state = NOTHING;
  }

  dismiss() {
    this.#show({ alert: "" });
  }

  /** Make the copy. What the server has is shown as it arrives. */
  async load() {
    this.#show({ loading: true, alert: "" });
    await this.#inTurn(() => this.#pull());
    this.#show({ loading: false });
  }

  /** Show what is changed elsewhere, too, until the copy is closed. */
  follow() {
    void listen(this.api, this.user.user_id, (revision) => void this.catchUp(revision), this.#closing.signal);
  }

  /** The task as the server has it, as far as is known. */
  get(id: number) {
    return this.#confirmed.get(id);
  }

  protected confirmed() {
    return [...this.#confirmed.values()];
  }

  /** What has changed up to this revision, where it is not in the copy already. */
  catchUp(revision?: number) {
    return this.#inTurn(async () => {
      if (revision !== this.#since) await this.#pull();
    });
  }

  /**
   * Show `change` at once; when the server has answered, `settle` says what takes its place. The answer, `true` if it is
   * empty, nothing if it was refused. `outdated`: what to say, by the status, where what was seen is no longer so.
   */
  protected async write<Data>(
    change: Change,
    send: () => Promise<Answer<Data>>,
    settle: (answer: Answer<Data>) => void,
    outdated: Record<number, string> = { 412: CHANGED },
  ) {
    this.#changes.push(change);
    this.#show({ alert: "" });
    const answer = await this.#inTurn(async () => {
      const answer = await send();
      const { data, error, response } = answer;
      const sentence = outdated[response.status];
      if (sentence) await this.#pull();
      settle(answer);
      if (error) this.#show({ alert: sentence ?? sentenceFor(error) });
      return error ? undefined : (data ?? true);
    });
    this.#changes = this.#changes.filter((other) => other !== change);
    this.#show({});
    // A write may have changed other tasks, too, such as the subtasks.
    if (answer) void this.catchUp();
    return answer;
  }

  protected confirm(tasks: Task[]) {
    for (const task of tasks) this.#confirmed.set(task.id, task);
  }

  /** It is gone, and its subtasks with it. */
  protected forget(gone: number) {
    for (const { id, parent_id } of this.#confirmed.values()) {
      if (id === gone || parent_id === gone) this.#confirmed.delete(id);
    }
  }

  /** Everything that the copy lacks. */
  async #pull() {
    for (let more = true; more; ) {
      const query = { since: this.#since, limit: PAGE_SIZE };
      const params = { path: this.user, query };
      const { data, error, response }: Answer<ChangeList> = await this.api.GET("/api/{user_id}/changes", { params });
      if (data) {
        this.confirm(data.tasks);
        data.deleted.forEach((id) => this.forget(id));
        data.lists.forEach((list) => this.#lists.set(list.id, list));
        data.deleted_lists.forEach((id) => this.#lists.delete(id));
        this.#since = data.revision;
        more = data.has_more;
        this.#show({});
      } else if (response.status === 410 && this.#since) {
        // The sync token is too old, or of a list that was erased: make the copy anew.
        this.#confirmed.clear();
        this.#lists.clear();
        this.#since = 0;
      } else {
        return this.#show({ alert: sentenceFor(error!) });
      }
    }
  }

  /** One request after the other, in the order of the clicks: no answer is older than the one before it. */
  #inTurn<Result>(work: () => Promise<Result>): Promise<Result | undefined> {
    const unlessClosed = () => (this.#closing.signal.aborted ? undefined : work());
    const turn = this.#turn.then(unlessClosed).catch((error: unknown) => {
      // fetch throws a TypeError when there is no answer at all.
      this.#show({ alert: error instanceof Error && !(error instanceof TypeError) ? error.message : UNREACHABLE });
      return undefined;
    });
    this.#turn = turn;
    return turn;
  }

  #show(news: Partial<State>) {
    if (this.#closing.signal.aborted) return;
    const confirmed: ShownTask[] = [...this.#confirmed.values()].sort((a, b) => b.id - a.id);
    const tasks = this.#changes.reduce((shown, change) => change(shown), confirmed);
    const lists = [...this.#lists.values()].filter(({ archived }) => !archived).sort(byPosition);
    this.#state = { ...this.#state, ...news, tasks, lists };
    for (const listener of this.#listeners) listener();
  }
}

type Placed = Pick<Task, "id" | "position">;

/** The order that the person has made: positions compare as text, and ids where two are equal. */
export function byPosition(a: Placed, b: Placed) {
  if (a.position === b.position) return a.id - b.id;
  return a.position < b.position ? -1 : 1;
}

function sentenceFor(problem: Problem): string {
  const faults = problem.errors?.map(({ pointer, detail }) => `${pointer.replace(/^#\//, "")}: ${detail}.`).join(" ");
  return faults ?? problem.detail ?? UNREACHABLE; // something in between may answer without a problem document
}
