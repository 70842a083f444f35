// One user's tasks as a page shows them. Knows the API and no React; it lives as long as one session does.
import { createApi } from "./api";
import { listen } from "./live";
import type { components } from "./schema";

export type Task = components["schemas"]["Task"];
/** What a person writes of a task. */
export type Texts = Pick<Task, "title" | "description" | "priority" | "due_date" | "tags">;
/** `saving`: what is shown is on its way to the server, which may still refuse it. */
export type ShownTask = Task & { saving?: true };

export interface State {
  tasks: ShownTask[];
  /** Whether there are tasks on the server that are not here yet. */
  more: boolean;
  loading: boolean;
  /** What went wrong last, as a sentence for a person. */
  alert: string;
  /** What was deleted last, and can be had back. */
  deleted?: Task;
  filter: Filter;
}

/** Text that tasks hold, and a tag that they have. */
export interface Filter {
  q?: string;
  tag?: string;
}

type ChangeList = components["schemas"]["ChangeList"];
type Problem = components["schemas"]["Problem"];
type Answer = { data?: Task; error?: Problem; response: Response };
/** A change that is on its way, as what it does to the tasks that the server told us of. */
type Change = (tasks: ShownTask[]) => ShownTask[];

const PAGE_SIZE = 25;
const CHANGED = "This task was changed elsewhere in the meantime. Compare, and save again if you still want to.";
const UNREACHABLE = "The server cannot be reached. Check your connection and try again.";
const NOTHING: State = { tasks: [], more: true, loading: false, alert: "", filter: {} };
const NO_PLAN = { priority: null, due_date: null, tags: [] };
const NOT_YET = { completed_at: null, time_zone: null, recurrence: null, recurrence_from: null, parent_id: null };

export class TaskList {
  #state = NOTHING;
  #confirmed: Task[] = [];
  #changes: Change[] = [];
  #cursor: string | undefined;
  /** What of the list is known: changes after this are not. */
  #revision?: number;
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
    await this.#inTurn(() => this.#load());
    this.#show({ loading: false });
  }

  /** Only tasks that meet this filter from now on. */
  async find(filter: Filter) {
    this.#show({ filter, alert: "" });
    await this.#inTurn(() => this.#startAgain());
  }

  /** Show what is changed elsewhere, too, until the list is closed. */
  follow() {
    void listen(this.#api, this.#user_id, (revision) => void this.#catchUp(revision), this.#closing.signal);
  }

  add(title: string, plan: Partial<Texts> = {}) {
    const now = new Date().toISOString();
    const draft: ShownTask = {
      ...{ id: --this.#drafts, user_id: this.#user_id, title, description: null, completed: false },
      ...{ revision: 0, created_at: now, updated_at: now, saving: true },
      ...{ ...NOT_YET, ...NO_PLAN, ...plan },
    };
    const body = { title, ...plan };
    return this.#write(
      (tasks) => [draft, ...tasks],
      () => this.#api.POST("/api/{user_id}/tasks", { params: { path: { user_id: this.#user_id } }, body }),
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

  /** Moves it to the trash, from which `restore` takes it back. */
  async remove(task: Task) {
    this.#show({ deleted: undefined });
    const removed = await this.#write(
      (tasks) => tasks.filter(({ id }) => id !== task.id),
      () => this.#api.DELETE("/api/{user_id}/tasks/{task_id}", { params: { path: this.#path(task) } }),
      task,
    );
    if (removed) this.#show({ deleted: task });
    return removed;
  }

  restore(task: Task) {
    this.#show({ deleted: undefined });
    return this.#write(
      (tasks) => tasks,
      () => this.#api.POST("/api/{user_id}/tasks/{task_id}/restore", { params: { path: this.#path(task) } }),
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

  async #load() {
    const query = { limit: PAGE_SIZE, cursor: this.#cursor, ...queryFor(this.#state.filter) };
    const { data, error, response } = await this.#api.GET("/api/{user_id}/tasks", {
      params: { path: { user_id: this.#user_id }, query },
    });
    if (error) return this.#show({ alert: sentenceFor(error) });
    // Later pages are newer than the first one: what has changed in between is still to be asked for.
    this.#revision ??= Number(/"(\d+)"/.exec(response.headers.get("ETag") ?? "")?.[1] ?? 0);
    this.#cursor = nextCursor(response);
    this.#confirm(data);
    this.#show({ more: this.#cursor !== undefined });
  }

  async #startAgain() {
    this.#cursor = undefined;
    this.#revision = undefined;
    this.#confirmed = [];
    await this.#load();
  }

  /** What has changed up to this revision, where it is not known already. */
  #catchUp(revision: number) {
    return this.#inTurn(async () => {
      if (this.#revision === undefined || revision === this.#revision) return;
      // Whether a changed task still meets a filter, only the server can say.
      if (Object.keys(this.#state.filter).length) return this.#startAgain();
      let since: number = this.#revision;
      for (let more = true; more; ) {
        const { data }: { data?: ChangeList } = await this.#api.GET("/api/{user_id}/changes", {
          params: { path: { user_id: this.#user_id }, query: { since } },
        });
        if (!data) return this.#startAgain(); // too old, or of a list that was erased
        const oldest = this.#state.more ? (this.#confirmed.at(-1)?.id ?? Infinity) : 0;
        this.#confirm(data.tasks.filter(({ id }) => id >= oldest)); // older ones come with the next page
        for (const id of data.deleted) this.#forget({ id });
        since = data.revision;
        more = data.has_more;
      }
      this.#revision = since;
      this.#show({});
    });
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

  #forget(task?: { id: number }) {
    this.#confirmed = this.#confirmed.filter(({ id }) => id !== task?.id);
  }

  #show(news: Partial<State>) {
    if (this.#closing.signal.aborted) return;
    const tasks = this.#changes.reduce((shown: ShownTask[], change) => change(shown), this.#confirmed);
    this.#state = { ...this.#state, ...news, tasks };
    for (const listener of this.#listeners) listener();
  }
}

function queryFor({ q, tag }: Filter) {
  return { ...(q && { q }), ...(tag && { tag: [tag] }) };
}

function changing(changed: number, members: Partial<Task>): Change {
  return (tasks) => tasks.map((task) => (task.id === changed ? { ...task, ...members, saving: true } : task));
}

/** The cursor of the next page, from `Link: <...?cursor=...>; rel="next"` (RFC 8288). */
function nextCursor(response: Response) {
  const [, target] = /<([^>]*)>; rel="next"/.exec(response.headers.get("Link") ?? "") ?? [];
  return target === undefined ? undefined : new URL(target, response.url).searchParams.get("cursor") ?? undefined;
}

function sentenceFor(problem: Problem): string {
  if (problem.status === 412) return CHANGED;
  const faults = problem.errors?.map(({ pointer, detail }) => `${pointer.replace(/^#\//, "")}: ${detail}.`).join(" ");
  return faults ?? problem.detail ?? UNREACHABLE; // something in between may answer without a problem document
}
