// What the page says of what was done, and how that is undone.
import { onDay } from "./dates";
import type { CompletedTask, Task, TaskStore } from "./tasks";

/** What was done last, and how to take it back. `id`: the task that the person goes on with then, if it was one. */
export interface Notice {
  text: string;
  id?: number;
  undo: () => Promise<unknown>;
}

/** What was completed, when it comes again, and the way back to the task and its `subtasks` as they were. */
export function completedNotice(store: TaskStore, task: Task, subtasks: Task[], answer: CompletedTask, now: Date): Notice {
  const repeats = !answer.completed && answer.due_date;
  const skipped = answer.completed_occurrence?.skipped;
  const next = repeats ? ` Next ${onDay(repeats, now)}${skipped ? `; ${skipped} missed before` : ""}.` : "";
  const undo = () => store.undoCompletion([task, ...subtasks], answer);
  return { text: `Completed “${task.title}”.${next}`, id: task.id, undo };
}
