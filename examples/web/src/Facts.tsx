import { isOver, shownDue } from "./dates";
import { laterStart } from "./groups";
import { ruleInWords } from "./recurrence";
import type { RowContext } from "./Row";
import type { ShownTask } from "./tasks";

interface Props extends RowContext {
  task: ShownTask;
  subtasks: ShownTask[];
  tabIndex: number;
}

const PRIORITIES = { low: "Low", medium: "Medium", high: "High" };

/** What is planned of a task, in a line. */
export function Facts({ task, subtasks, lists, view, now, onTag, tabIndex }: Props) {
  const { due_date, priority, recurrence, remind_at, tags, completed, parent_id } = task;
  const list = view === undefined && !parent_id && lists.find(({ id }) => id === task.list_id);
  const done = subtasks.filter((subtask) => subtask.completed).length;
  const overdue = due_date && !completed && isOver(due_date, now);
  const start = laterStart(task, now);
  const reminds = remind_at && !isOver(remind_at, now);
  if (!start && !due_date && !reminds && !priority && !tags.length && !subtasks.length && !list) return null;
  return (
    <p className="facts">
      {subtasks.length > 0 && <span>{`${done} of ${subtasks.length}`}</span>}
      {priority && (
        <span className={`priority ${priority}`}>
          {PRIORITIES[priority]}
          <span className="hidden"> priority</span>
        </span>
      )}
      {start && <span>from {shownDue(start, now)}</span>}
      {due_date && (
        <span className={overdue ? "due overdue" : "due"}>
          <span className="hidden">{overdue ? "Overdue: " : "Due "}</span>
          <time dateTime={due_date}>{shownDue(due_date, now)}</time>
        </span>
      )}
      {recurrence && <span className="repeats">{ruleInWords(recurrence)}</span>}
      {reminds && <span>reminds {shownDue(remind_at, now)}</span>}
      {list && (
        <span className="list">
          <span className="hidden">In the list </span>
          {list.name}
        </span>
      )}
      {tags.map((tag) => (
        <button
          key={tag}
          {...{ tabIndex }}
          type="button"
          className="tag"
          aria-label={`Only tasks with the tag ${tag}`}
          onClick={() => onTag(tag)}
        >
          {tag}
        </button>
      ))}
    </p>
  );
}
