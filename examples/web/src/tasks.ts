// A copy of one user's tasks, which follows the server. Knows the API and no React; it lives as long as one session does.
import { createApi } from "./api";
import { TIME_ZONE } from "./dates";
import { listen } from "./live";
import type { components } from "./schema";

export type Task = components["schemas"]["Task"];
export type CompletedTask = components["schemas"]["CompletedTask"];
/** What a person writes of a task. */
export type Content = Pick<Task, "title" | "description" | "priority" | "due_date" | "recurrence" | "recurrence_from" | "tags">;
/** `saving`: what is shown is on its way to the server, which may still refuse it. */
export type ShownTask = Task & { saving?: true };

export interface State {
  /** Newest first. */
  tasks: ShownTask[];
  /** Whether the copy is still being made. */
  loading: boolean;
  /** What went wrong last, as a sentence for a person. */
  alert: string;
}

type ChangeList = components["schemas"]["ChangeList"];
type Problem = components["schemas"]["Problem"];
type Answer<Data> = { data?: Data; error?: Problem; response: Response };
/** A change that is on its way, as what it does to the tasks that the server told us of. */
type Change = (tasks: ShownTask[]) => ShownTask[];

const PAGE_SIZE = 500;
const CHANGED = "This task was changed elsewhere in the meantime. Compare, and save again if you still want to.";
const UNREACHABLE = "The server cannot be reached. Check your connection and try again.";
const NOTHING: State = { tasks: [], loading: true, alert: "" };
const EMPTY = { description: null, priority: null, due_date: null, recurrence: null, recurrence_from: null, tags: [] };
const SET_BY_SERVER = { completed: false, completed_at: null, start_date: null, time_zone: null, revision: 0 };

export class TaskList {
  #state = NOTHING;
  #confirmed = new Map<number, Task>();
  #changes: Change[] = [];
  /** The sync token: what was changed up to here is in the copy. */
  #since = 0;
  #drafts = 0;
  #turn: Promise<unknown> = Promise.resolve();
  readonly #listeners = new Set<() => void>();
  readonly #closing = new AbortController();
  readonly #user: { user_id: string };
  readonly #api;

  constructor(apiUrl: string, user_id: string) {
    this.#user = { user_id };
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
    this.#confirmed.clear();
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

  /** Show what is changed elsewhere, too, until the list is closed. */
  follow() {
    void listen(this.#api, this.#user.user_id, (revision) => void this.#catchUp(revision), this.#closing.signal);
  }

  add(content: Partial<Content> & { title: string }, parent_id: number | null = null) {
    const now = new Date().toISOString();
    const id = --this.#drafts;
    const draft = { ...SET_BY_SERVER, ...EMPTY, ...content, id, parent_id, ...this.#user, created_at: now, updated_at: now };
    const body = { ...written(content), ...zoneOf(content), parent_id };
    return this.#write(
      (tasks) => [{ ...draft, saving: true }, ...tasks],
      () => this.#api.POST("/api/{user_id}/tasks", { params: { path: this.#user }, body }),
    );
  }

  /** Only if the task is still as `task` says (If-Match): what someone else wrote meanwhile is never overwritten. */
  edit(task: Task, content: Partial<Content>) {
    const params = { path: this.#path(task), header: { "If-Match": `"${task.revision}"` } };
    const body = { ...written(content), ...(content.due_date === task.due_date ? {} : zoneOf(content)) };
    return this.#write(
      changing([task.id], content),
      () => this.#api.PATCH("/api/{user_id}/tasks/{task_id}", { params, body }),
      task,
    );
  }

  /**
   * Sets what the person saw and meant, instead of turning over whatever is there by now. Subtasks follow their task. One
   * that repeats goes on to the first time that is not past.
   */
  complete(task: Task, completed: boolean) {
    const params = { path: this.#path(task) };
    const ids = [task.id, ...this.subtasksOf(task).map(({ id }) => id)];
    const body = { completed, ...(completed && task.recurrence && { skip_missed: true }) };
    // Where a repeating task goes to, only the server knows.
    const change = task.recurrence ? changing([task.id], {}) : changing(ids, { completed });
    return this.#write<CompletedTask>(
      change,
      () => this.#api.PATCH("/api/{user_id}/tasks/{task_id}/complete", { params, body }),
      task,
    );
  }

  /** Moves it to the trash with its subtasks, from where `restore` takes them back. */
  remove(task: Task) {
    return this.#write(
      (tasks) => tasks.filter(({ id, parent_id }) => id !== task.id && parent_id !== task.id),
      () => this.#api.DELETE("/api/{user_id}/tasks/{task_id}", { params: { path: this.#path(task) } }),
      task,
    );
  }

  restore(task: Task) {
    const params = { path: this.#path(task) };
    return this.#write((tasks) => tasks, () => this.#api.POST("/api/{user_id}/tasks/{task_id}/restore", { params }));
  }

  subtasksOf(task: Task) {
    return this.#state.tasks.filter(({ parent_id }) => parent_id === task.id);
  }

  /** The task as the server has it, as far as is known. */
  get(id: number) {
    return this.#confirmed.get(id);
  }

  /** Show `change` at once; what the server says takes its place. The answer, `true` if it is empty, nothing if refused. */
  async #write<Data extends Task>(change: Change, send: () => Promise<Answer<Data>>, task?: Task) {
    this.#changes.push(change);
    this.#show({ alert: "" });
    const answer = await this.#inTurn(async () => {
      const { data, error, response } = await send();
      if (response.status === 412) await this.#pull();
      if (task && (response.status === 404 || response.status === 204)) this.#forget(task.id);
      if (data) this.#confirm([data]);
      if (error) this.#show({ alert: sentenceFor(error) });
      return error ? undefined : (data ?? true);
    });
    this.#changes = this.#changes.filter((other) => other !== change);
    this.#show({});
    // A write may have changed other tasks, too, such as the subtasks.
    if (answer) void this.#catchUp();
    return answer;
  }

  /** What has changed up to this revision, where it is not in the copy already. */
  #catchUp(revision?: number) {
    return this.#inTurn(async () => {
      if (revision !== this.#since) await this.#pull();
    });
  }

  /** Everything that the copy lacks. */
  async #pull() {
    for (let more = true; more; ) {
      const query = { since: this.#since, limit: PAGE_SIZE };
      const params = { path: this.#user, query };
      const { data, error, response }: Answer<ChangeList> = await this.#api.GET("/api/{user_id}/changes", { params });
      if (data) {
        this.#confirm(data.tasks);
        data.deleted.forEach((id) => this.#forget(id));
        this.#since = data.revision;
        more = data.has_more;
        this.#show({});
      } else if (response.status === 410 && this.#since) {
        // The sync token is too old, or of a list that was erased: make the copy anew.
        this.#confirmed.clear();
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

  #path(task: Task) {
    return { ...this.#user, task_id: task.id };
  }

  #confirm(tasks: Task[]) {
    for (const task of tasks) this.#confirmed.set(task.id, task);
  }

  #forget(gone: number) {
    for (const { id, parent_id } of this.#confirmed.values()) {
      if (id === gone || parent_id === gone) this.#confirmed.delete(id);
    }
  }

  #show(news: Partial<State>) {
    if (this.#closing.signal.aborted) return;
    const confirmed: ShownTask[] = [...this.#confirmed.values()].sort((a, b) => b.id - a.id);
    const tasks = this.#changes.reduce((shown, change) => change(shown), confirmed);
    this.#state = { ...this.#state, ...news, tasks };
    for (const listener of this.#listeners) listener();
  }
}

/** `recurrence_from` of a task that does not repeat is answered as null, and not written. */
function written<Some extends Partial<Content>>({ recurrence_from, ...content }: Some) {
  return { ...content, ...(recurrence_from && { recurrence_from }) };
}

/** A due date is meant where the person is: a day ends there, and a task repeats at their local time. */
function zoneOf({ due_date }: Partial<Content>) {
  return due_date === undefined ? {} : { time_zone: due_date && TIME_ZONE };
}

function changing(ids: number[], members: Partial<Task>): Change {
  return (tasks) => tasks.map((task) => (ids.includes(task.id) ? { ...task, ...members, saving: true } : task));
}

function sentenceFor(problem: Problem): string {
  if (problem.status === 412) return CHANGED;
  const faults = problem.errors?.map(({ pointer, detail }) => `${pointer.replace(/^#\//, "")}: ${detail}.`).join(" ");
  return faults ?? problem.detail ?? UNREACHABLE; // something in between may answer without a problem document
}
