// What the page says of what was done, and how that is undone.
import { onDay } from "./dates";
import type { CompletedTask, Task, TaskStore } from "./tasks";

/** What was done last, and how to take it back. `id`: the task that the person goes on with then, if it was one. */
export interface Notice {
  text: string;
  id?: number;
  undo: () => Promise<unknown>;
}

/** What was completed, when it comes again, and the way back for the task and what went with it. */
export function completedNotice(store: TaskStore, task: Task, subtasks: Task[], answer: CompletedTask, now: Date): Notice {
  const { id, due_date, recurrence } = task;
  const repeats = !answer.completed && answer.due_date;
  const skipped = answer.completed_occurrence?.skipped;
  const next = repeats ? ` Next ${onDay(repeats, now)}${skipped ? `; ${skipped} missed before` : ""}.` : "";
  async function undo() {
    const current = store.get(id) ?? answer;
    await (repeats ? store.edit(current, { due_date, recurrence }) : store.complete(current, false));
    for (const subtask of subtasks) await store.complete(subtask, subtask.completed);
  }
  return { text: `Completed “${task.title}”.${next}`, id, undo };
}
