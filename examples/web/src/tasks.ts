// What people do with their tasks and lists, as requests to the API; each is shown before it is answered.
import { type Answer, type Change, Copy, type NamedList, type ShownTask, type Task, byPosition } from "./copy";
import { TIME_ZONE } from "./dates";
import type { components } from "./schema";

export type { NamedList, ShownTask, Task } from "./copy";
export type CompletedTask = components["schemas"]["CompletedTask"];
type Planned = "priority" | "start_date" | "due_date" | "recurrence" | "recurrence_from" | "reminders" | "tags" | "list_id";
/** What a person writes of a task. */
export type Content = Pick<Task, "title" | "description" | Planned>;

const NO_PLAN = { priority: null, start_date: null, due_date: null, recurrence: null, recurrence_from: null, reminders: [], tags: [] };
const EMPTY = { ...NO_PLAN, description: null, list_id: null, parent_id: null, time_zone: null };
const SET_BY_SERVER = { completed: false, completed_at: null, remind_at: null, position: "", revision: 0 };
const NOTHING_YET: Change = (tasks) => tasks;
const CANNOT_UNDO = "This task has changed since it was completed, so that cannot be undone. Edit the task instead.";

export class TaskStore extends Copy {
  #drafts = 0;

  add(content: Partial<Content> & { title: string }) {
    const body = { ...written(content), ...zoneOf(content) };
    return this.#create(this.#draft(content), () =>
      this.api.POST("/api/{user_id}/tasks", { params: { path: this.user }, body }),
    );
  }

  /** A new task is the first of its siblings for the server; a subtask is meant to be the last one. */
  addSubtask(title: string, parent: Task) {
    const { id: parent_id, list_id } = parent;
    const after = this.subtasksOf(parent).sort(byPosition).at(-1)?.id;
    const draft = { ...this.#draft({ title, list_id }), parent_id, after };
    return this.#create(draft, async () => {
      const last = this.confirmed().filter((task) => task.parent_id === parent_id).sort(byPosition).at(-1);
      const made = await this.api.POST("/api/{user_id}/tasks", { params: { path: this.user }, body: { title, parent_id } });
      if (!made.data || !last) return made;
      const params = { path: this.#path(made.data) };
      return this.api.PATCH("/api/{user_id}/tasks/{task_id}/move", { params, body: { after: last.id } });
    });
  }

  #draft(content: Partial<Content> & { title: string }): ShownTask {
    const now = new Date().toISOString();
    const members = { ...SET_BY_SERVER, ...EMPTY, ...content, created_at: now, updated_at: now };
    return { ...members, ...this.user, id: --this.#drafts, saving: true };
  }

  #create(draft: ShownTask, send: () => Promise<Answer<Task>>) {
    return this.#writeTask((tasks) => [draft, ...tasks], send);
  }

  /** Only if the task is still as `task` says (If-Match): what someone else wrote meanwhile is never overwritten. */
  edit(task: Task, content: Partial<Content>) {
    const params = { path: this.#path(task), header: { "If-Match": `"${task.revision}"` } };
    const body = { ...written(content), ...(content.due_date === task.due_date ? {} : zoneOf(content)) };
    return this.#writeTask(
      changing([task.id], content),
      () => this.api.PATCH("/api/{user_id}/tasks/{task_id}", { params, body }),
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
    return this.#writeTask<CompletedTask>(
      change,
      () => this.api.PATCH("/api/{user_id}/tasks/{task_id}/complete", { params, body }),
      task,
    );
  }

  /**
   * Takes back what `complete` has answered: the task and its subtasks are as they were `before`. The server does this in
   * one step, and only where the task has not changed since (412), nor was opened again (404).
   */
  undoCompletion(before: Task[], completed: CompletedTask) {
    const path = { ...this.user, completion_id: completionId(completed) };
    return this.write<Task>(
      (tasks) => tasks.map((task) => withMembers(task, before.find(({ id }) => id === task.id))),
      () => this.api.DELETE("/api/{user_id}/completions/{completion_id}", { params: { path } }),
      ({ data }) => data && this.confirm([data]),
      { 404: CANNOT_UNDO, 412: CANNOT_UNDO },
    );
  }

  /** Moves it to the trash with its subtasks, from where `restore` takes them back. */
  remove(task: Task) {
    return this.#writeTask(
      (tasks) => tasks.filter(({ id, parent_id }) => id !== task.id && parent_id !== task.id),
      () => this.api.DELETE("/api/{user_id}/tasks/{task_id}", { params: { path: this.#path(task) } }),
      task,
    );
  }

  /** Behind another task of the same parent and list, or to the front; with `list_id` to another list. */
  move(task: Task, after: number | null, list_id = task.list_id) {
    const params = { path: this.#path(task) };
    const parts = this.subtasksOf(task).map(({ id }) => id);
    const change: Change = (tasks) =>
      changing(parts, { list_id })(tasks).map((other) => (other.id === task.id ? { ...other, list_id, after, saving: true } : other));
    const body = { after, ...(list_id !== task.list_id && { list_id }) };
    return this.#writeTask(change, () => this.api.PATCH("/api/{user_id}/tasks/{task_id}/move", { params, body }), task);
  }

  restore(task: Task) {
    const params = { path: this.#path(task) };
    return this.#writeTask(NOTHING_YET, () => this.api.POST("/api/{user_id}/tasks/{task_id}/restore", { params }));
  }

  subtasksOf(task: Task) {
    return this.getState().tasks.filter(({ parent_id }) => parent_id === task.id);
  }

  addList(name: string) {
    return this.#writeList(() => this.api.POST("/api/{user_id}/lists", { params: { path: this.user }, body: { name } }));
  }

  renameList(list: NamedList, name: string) {
    const params = { path: { ...this.user, list_id: list.id } };
    return this.#writeList(() => this.api.PATCH("/api/{user_id}/lists/{list_id}", { params, body: { name } }));
  }

  /** Moves it to the trash with its tasks, from where `restoreList` takes them back. */
  removeList(list: NamedList) {
    const params = { path: { ...this.user, list_id: list.id } };
    return this.#writeList(() => this.api.DELETE("/api/{user_id}/lists/{list_id}", { params }));
  }

  restoreList(list: NamedList) {
    const params = { path: { ...this.user, list_id: list.id } };
    return this.#writeList(() => this.api.POST("/api/{user_id}/lists/{list_id}/restore", { params }));
  }

  #writeTask<Data extends Task>(change: Change, send: () => Promise<Answer<Data>>, task?: Task) {
    return this.write(change, send, ({ data, response }) => {
      if (task && (response.status === 404 || response.status === 204)) this.forget(task.id);
      if (data) this.confirm([data]);
    });
  }

  /** What becomes of the lists, and of the tasks in them, is asked for when it is answered. */
  async #writeList(send: () => Promise<Answer<NamedList>>) {
    const answer = await this.write(NOTHING_YET, send, () => undefined);
    await this.catchUp();
    return answer;
  }

  #path(task: Task) {
    return { ...this.user, task_id: task.id };
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
  return (tasks) => tasks.map((task) => withMembers(task, ids.includes(task.id) ? members : undefined));
}

function withMembers(task: ShownTask, members?: Partial<Task>): ShownTask {
  return members ? { ...task, ...members, saving: true } : task;
}

/** The task and the moment in microseconds since 1970. A task that repeats and is still open has it in the occurrence. */
function completionId({ id, completed_at, completed_occurrence }: CompletedTask) {
  const moment = completed_occurrence?.completed_at ?? completed_at!;
  const [seconds, fraction = ""] = moment.replace("Z", "").split(".");
  return `${id}-${Date.parse(`${seconds}Z`) / 1000}${fraction.padEnd(6, "0")}`;
}
