// One user's tasks as a page shows them. Knows the API and no React; it lives as long as one session does.
import { createApi } from "./api";
import type { components } from "./schema";

export type Task = components["schemas"]["Task"];
export type Texts = Pick<Task, "title" | "description">;
/** `saving`: what is shown is on its way to the server, which may still refuse it. */
export type ShownTask = Task & { saving?: true };

export interface State {
  tasks: ShownTask[];
  /** Whether there are tasks on the server that are not here yet. */
  more: boolean;
  loading: boolean;
  /** What went wrong last, as a sentence for a person. */
  alert: string;
}

type Problem = components["schemas"]["Problem"];
type Answer = { data?: Task; error?: Problem; response: Response };
/** A change that is on its way, as what it does to the tasks that the server told us of. */
type Change = (tasks: ShownTask[]) => ShownTask[];

const PAGE_SIZE = 25;
const CHANGED = "This task was changed elsewhere in the meantime. Compare, and save again if you still want to.";
const UNREACHABLE = "The server cannot be reached. Check your connection and try again.";
const NOTHING: State = { tasks: [], more: true, loading: false, alert: "" };

export class TaskList {
  #state = NOTHING;
  #confirmed: Task[] = [];
  #changes: Change[] = [];
  #cursor: string | null = null;
  #drafts = 0;
  #turn: Promise<unknown> = Promise.resolve();
  readonly #listeners = new Set<() => void>();
  readonly #closing = new AbortController();
  readonly #user_id: string;
  readonly #api;

  constructor(apiUrl: string, userId: string) {
    this.#user_id = userId;
    this.#api = createApi(apiUrl, this.#closing.signal);
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
    this.#confirmed = [];
    this.#changes = [];
    this.#state = NOTHING;
  }

  dismiss() {
    this.#show({ alert: "" });
  }

  /** The first page, then the next ones. */
  async loadMore() {
    if (this.#state.loading) return;
    this.#show({ loading: true, alert: "" });
    await this.#inTurn(async () => {
      const { data, error, response } = await this.#api.GET("/api/{user_id}/tasks", {
        params: { path: { user_id: this.#user_id }, query: { limit: PAGE_SIZE, cursor: this.#cursor } },
      });
      if (error) return this.#show({ alert: sentenceFor(error) });
      this.#cursor = nextCursor(response);
      this.#confirm(data);
      this.#show({ more: this.#cursor !== null });
    });
    this.#show({ loading: false });
  }

  add(title: string) {
    const now = new Date().toISOString();
    const draft: ShownTask = {
      ...{ id: --this.#drafts, user_id: this.#user_id, title, description: null, completed: false },
      ...{ revision: 0, created_at: now, updated_at: now, saving: true },
    };
    return this.#write(
      (tasks) => [draft, ...tasks],
      () => this.#api.POST("/api/{user_id}/tasks", { params: { path: { user_id: this.#user_id } }, body: { title } }),
    );
  }

  /** Only if the task is still as `task` says (If-Match): what someone else wrote meanwhile is never overwritten. */
  edit(task: Task, texts: Texts) {
    const header = { "If-Match": `"${task.revision}"` };
    return this.#write(
      changing(task.id, texts),
      () => this.#api.PATCH("/api/{user_id}/tasks/{task_id}", { params: { path: this.#path(task), header }, body: texts }),
      task,
    );
  }

  /** Sets what the person saw and meant, instead of turning over whatever is there by now. */
  complete(task: Task, completed: boolean) {
    return this.#write(
      changing(task.id, { completed }),
      () =>
        this.#api.PATCH("/api/{user_id}/tasks/{task_id}/complete", {
          params: { path: this.#path(task) },
          body: { completed },
        }),
      task,
    );
  }

  remove(task: Task) {
    return this.#write(
      (tasks) => tasks.filter(({ id }) => id !== task.id),
      () => this.#api.DELETE("/api/{user_id}/tasks/{task_id}", { params: { path: this.#path(task) } }),
      task,
    );
  }

  /** Show `change` at once; when the answer is there, what the server says takes its place. Whether it was accepted. */
  async #write(change: Change, send: () => Promise<Answer>, task?: Task): Promise<boolean> {
    this.#changes.push(change);
    this.#show({ alert: "" });
    const accepted = await this.#inTurn(async () => {
      const { data, error, response } = await send();
      if (response.status === 412 && task) await this.#reload(task);
      if (response.status === 404 || response.status === 204) this.#forget(task);
      if (data) this.#confirm([data]);
      if (error) this.#show({ alert: sentenceFor(error) });
      return !error;
    });
    this.#changes = this.#changes.filter((other) => other !== change);
    this.#show({});
    return accepted ?? false;
  }

  async #reload(task: Task) {
    const { data } = await this.#api.GET("/api/{user_id}/tasks/{task_id}", { params: { path: this.#path(task) } });
    if (data) this.#confirm([data]);
    else this.#forget(task);
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

  #path(task: Task) {
    return { user_id: this.#user_id, task_id: task.id };
  }

  #confirm(tasks: Task[]) {
    const ids = new Set(tasks.map(({ id }) => id));
    const others = this.#confirmed.filter(({ id }) => !ids.has(id));
    this.#confirmed = [...others, ...tasks].sort((a, b) => b.id - a.id);
  }

  #forget(task?: Task) {
    this.#confirmed = this.#confirmed.filter(({ id }) => id !== task?.id);
  }

  #show(news: Partial<State>) {
    if (this.#closing.signal.aborted) return;
    const tasks = this.#changes.reduce((shown: ShownTask[], change) => change(shown), this.#confirmed);
    this.#state = { ...this.#state, ...news, tasks };
    for (const listener of this.#listeners) listener();
  }
}

function changing(changed: number, members: Partial<Task>): Change {
  return (tasks) => tasks.map((task) => (task.id === changed ? { ...task, ...members, saving: true } : task));
}

/** The cursor of the next page, from `Link: <...?cursor=...>; rel="next"` (RFC 8288). */
function nextCursor(response: Response) {
  const [, target] = /<([^>]*)>; rel="next"/.exec(response.headers.get("Link") ?? "") ?? [];
  return target === undefined ? null : new URL(target, response.url).searchParams.get("cursor");
}

function sentenceFor(problem: Problem): string {
  if (problem.status === 412) return CHANGED;
  const faults = problem.errors?.map(({ pointer, detail }) => `${pointer.replace(/^#\//, "")}: ${detail}.`).join(" ");
  return faults ?? problem.detail ?? UNREACHABLE; // something in between may answer without a problem document
}
