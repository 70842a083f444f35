import { type KeyboardEvent, type MouseEvent, type PointerEvent, useRef, useState } from "react";
import { isOver, onDay, shownDue } from "./dates";
import { focusTask, leaveRow } from "./keys";
import { ruleInWords } from "./recurrence";
import { Editor, NewSubtask } from "./TaskForm";
import type { CompletedTask, Content, ShownTask, Task, TaskList } from "./tasks";
import type { Notice } from "./Toast";

/** What every row of the page is given. */
export interface RowContext {
  list: TaskList;
  now: Date;
  onNotice: (notice: Notice | undefined) => void;
  onTag: (tag: string) => void;
}

interface Props extends RowContext {
  task: ShownTask;
  subtasks?: ShownTask[];
}

/** A task, or the form that it is changed with; and its subtasks. */
export function Row({ task, subtasks = [], ...context }: Props) {
  const { list, now, onNotice } = context;
  // The task as it was when the form was opened, and the content that the form begins with.
  const [editing, setEditing] = useState<{ task: ShownTask; content: Content; refused?: true }>();
  const [adding, setAdding] = useState(false);
  const row = useRef<HTMLLIElement>(null);
  const press = useLongPress();
  const [focused, setFocused] = useState(false);
  const tabIndex = focused ? 0 : -1; // Tab goes through the actions of one row, and past those of the others
  const draft = task.id < 0; // it has no id yet, so nothing can be done with it

  function edit() {
    // The ETag to change it with is in the answer that is on its way.
    if (!task.saving) setEditing({ task, content: task });
    press.release();
  }

  function close() {
    setEditing(undefined);
    focusTask(task.id);
  }

  async function save(content: Content) {
    close();
    if (!editing || (await list.edit(editing.task, content))) return;
    const current = list.get(task.id);
    if (current) setEditing({ task: current, content, refused: true });
  }

  async function complete(completed: boolean) {
    onNotice(undefined);
    const before = list.subtasksOf(task);
    if (!task.parent_id && row.current) leaveRow(row.current);
    const answer = await list.complete(task, completed);
    if (answer && answer !== true && completed) onNotice(completedNotice(list, task, before, answer, now));
  }

  async function remove() {
    if (row.current) leaveRow(row.current);
    onNotice(undefined);
    if (!(await list.remove(task))) return;
    onNotice({ text: `Deleted “${task.title}”.`, id: task.id, undo: () => list.restore(task) });
  }

  function onKeyDown(event: KeyboardEvent) {
    const actions: Record<string, () => void> = { Enter: edit, Delete: () => void remove() };
    const action = event.target instanceof HTMLInputElement && actions[event.key];
    if (!action || draft) return;
    event.preventDefault();
    action();
  }

  if (editing)
    return (
      <li className="editing">
        <Editor content={editing.content} current={editing.refused && task} onSave={save} onCancel={close} />
      </li>
    );
  return (
    <li ref={row} data-id={task.id} aria-busy={task.saving} className={task.completed ? "done" : (task.priority ?? undefined)}>
      <div
        className={press.pressed ? "line pressed" : "line"}
        onKeyDown={onKeyDown}
        onFocus={() => setFocused(true)}
        onBlur={(event) => setFocused(event.currentTarget.contains(event.relatedTarget))}
        onMouseDownCapture={ignoreSecond}
        onClickCapture={ignoreSecond}
        {...press.handlers}
      >
        <input
          type="checkbox"
          aria-labelledby={`task-${task.id}`}
          checked={task.completed}
          disabled={draft}
          onChange={(event) => void complete(event.target.checked)}
        />
        <div className="text" onClick={() => draft || press.pressed || edit()}>
          <span id={`task-${task.id}`} dir="auto">
            {task.title}
          </span>
          {task.description && <p dir="auto">{task.description}</p>}
        </div>
        <Facts {...{ task, subtasks, tabIndex }} {...context} />
        <div className="actions">
          <button {...{ tabIndex }} type="button" aria-label={`Edit ${task.title}`} aria-disabled={task.saving} onClick={edit}>
            Edit
          </button>
          {!task.parent_id && !task.completed && (
            <button
              {...{ tabIndex }}
              type="button"
              aria-label={`Add a subtask to ${task.title}`}
              disabled={draft}
              onClick={() => setAdding(true)}
            >
              Add subtask
            </button>
          )}
          <button
            {...{ tabIndex }}
            type="button"
            className="remove"
            aria-label={`Delete ${task.title}`}
            disabled={draft}
            onClick={() => void remove()}
          >
            Delete
          </button>
        </div>
      </div>
      {subtasks.length > 0 && (
        <ul role="list" aria-label={`Subtasks of ${task.title}`}>
          {subtasks.map((subtask) => (
            <Row key={subtask.id} task={subtask} {...context} />
          ))}
        </ul>
      )}
      {adding && (
        <NewSubtask
          list={list}
          parent={task}
          onClose={() => {
            setAdding(false);
            focusTask(task.id);
          }}
        />
      )}
    </li>
  );
}

/** The second click of a double click meets what has moved up when the first one did its work. */
function ignoreSecond(event: MouseEvent) {
  if (event.detail < 2) return;
  event.preventDefault();
  event.stopPropagation();
}

/** What was completed, when it comes again, and the way back for the task and what went with it. */
function completedNotice(list: TaskList, task: Task, subtasks: Task[], answer: CompletedTask, now: Date): Notice {
  const { id, due_date, recurrence } = task;
  const repeats = !answer.completed && answer.due_date;
  const skipped = answer.completed_occurrence?.skipped;
  const next = repeats ? ` Next ${onDay(repeats, now)}${skipped ? `; ${skipped} missed before` : ""}.` : "";
  async function undo() {
    const current = list.get(id) ?? answer;
    await (repeats ? list.edit(current, { due_date, recurrence }) : list.complete(current, false));
    for (const subtask of subtasks) await list.complete(subtask, subtask.completed);
  }
  return { text: `Completed “${task.title}”.${next}`, id, undo };
}

const PRIORITIES = { low: "Low", medium: "Medium", high: "High" };

/** What is planned of it, in a line. */
function Facts({ task, subtasks, now, onTag, tabIndex }: Props & { tabIndex: number }) {
  const { due_date, priority, recurrence, tags, completed } = task;
  const done = subtasks?.filter((subtask) => subtask.completed).length;
  const overdue = due_date && !completed && isOver(due_date, now);
  if (!due_date && !priority && !tags.length && !subtasks?.length) return null;
  return (
    <p className="facts">
      {subtasks && subtasks.length > 0 && <span>{`${done} of ${subtasks.length}`}</span>}
      {priority && (
        <span className={`priority ${priority}`}>
          {PRIORITIES[priority]}
          <span className="hidden"> priority</span>
        </span>
      )}
      {due_date && (
        <span className={overdue ? "due overdue" : "due"}>
          <span className="hidden">{overdue ? "Overdue: " : "Due "}</span>
          <time dateTime={due_date}>{shownDue(due_date, now)}</time>
        </span>
      )}
      {recurrence && <span className="repeats">{ruleInWords(recurrence)}</span>}
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

const LONG_PRESS_MS = 500;

/** A finger that stays shows the actions of a row; one that moves scrolls. */
function useLongPress() {
  const [pressed, setPressed] = useState(false);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  const cancel = () => clearTimeout(timer.current);
  const handlers = {
    onPointerDown: (event: PointerEvent) => {
      cancel();
      if (event.pointerType === "touch") timer.current = setTimeout(() => setPressed(true), LONG_PRESS_MS);
    },
    onPointerUp: cancel,
    onPointerCancel: cancel,
    onContextMenu: (event: { preventDefault: () => void }) => pressed && event.preventDefault(),
  };
  return { pressed, release: () => setPressed(false), handlers };
}
