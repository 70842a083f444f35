import { type KeyboardEvent, type MouseEvent, type PointerEvent, useRef, useState } from "react";
import { Facts } from "./Facts";
import { focusTask, leaveRow } from "./keys";
import type { View } from "./groups";
import { movesOf } from "./moves";
import { completedNotice, type Notice } from "./notices";
import { Editor, NewSubtask } from "./TaskForm";
import type { Content, NamedList, ShownTask, TaskStore } from "./tasks";

/** What every row of the page is given. */
export interface RowContext {
  store: TaskStore;
  lists: NamedList[];
  view: View;
  now: Date;
  onNotice: (notice: Notice | undefined) => void;
  onTag: (tag: string) => void;
}

interface Props extends RowContext {
  task: ShownTask;
  subtasks?: ShownTask[];
  /** Those that it can change places with, in their order, and itself. */
  siblings: ShownTask[];
  /** Names the siblings. */
  run: string;
}

/** A task, or the form that it is changed with; and its subtasks. */
export function Row({ task, subtasks = [], siblings, run, ...context }: Props) {
  const { store, lists, now, onNotice } = context;
  // The task as it was when the form was opened, and the content that the form begins with.
  const [editing, setEditing] = useState<{ task: ShownTask; content: Content; refused?: true }>();
  const [adding, setAdding] = useState(false);
  const row = useRef<HTMLLIElement>(null);
  const press = useLongPress();
  const moves = movesOf({ task, siblings, run, ...context });
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
    if (!editing || (await store.edit(editing.task, content))) return;
    const current = store.get(task.id);
    if (current) setEditing({ task: current, content, refused: true });
  }

  async function complete(completed: boolean) {
    onNotice(undefined);
    const before = store.subtasksOf(task);
    if (!task.parent_id && row.current) leaveRow(row.current);
    const answer = await store.complete(task, completed);
    if (answer && answer !== true && completed) onNotice(completedNotice(store, task, before, answer, now));
  }

  async function remove() {
    if (row.current) leaveRow(row.current);
    onNotice(undefined);
    if (!(await store.remove(task))) return;
    onNotice({ text: `Deleted “${task.title}”.`, id: task.id, undo: () => store.restore(task) });
  }

  function onKeyDown(event: KeyboardEvent) {
    if (draft) return;
    const step = event.altKey && { ArrowUp: -1, ArrowDown: 1 }[event.key];
    const actions: Record<string, () => void> = { Enter: edit, Delete: () => void remove() };
    const action = step ? () => moves.step(step) : event.target instanceof HTMLInputElement && actions[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  }

  if (editing)
    return (
      <li className="editing">
        <Editor
          content={editing.content}
          lists={task.parent_id ? undefined : lists}
          current={editing.refused && task}
          onSave={save}
          onCancel={close}
        />
      </li>
    );
  return (
    <li
      ref={row}
      data-id={task.id}
      data-run={run}
      aria-busy={task.saving}
      className={task.completed ? "done" : (task.priority ?? undefined)}
    >
      <div
        className={press.pressed ? "line pressed" : "line"}
        onKeyDown={onKeyDown}
        onFocus={() => setFocused(true)}
        onBlur={(event) => setFocused(event.currentTarget.contains(event.relatedTarget))}
        onMouseDownCapture={ignoreSecond}
        onClickCapture={ignoreSecond}
        {...press.handlers}
      >
        {moves.canDrag && (
          <span className="grip" aria-hidden="true" onPointerDown={moves.startDrag}>
            ⠿
          </span>
        )}
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
        <Actions {...{ task, tabIndex, moves }} onEdit={edit} onAdd={() => setAdding(true)} onRemove={() => void remove()} />
      </div>
      {subtasks.length > 0 && (
        <ul role="list" aria-label={`Subtasks of ${task.title}`}>
          {subtasks.map((subtask) => (
            <Row key={subtask.id} task={subtask} siblings={subtasks} run={`subtasks of ${task.id}`} {...context} />
          ))}
        </ul>
      )}
      {adding && (
        <NewSubtask
          store={store}
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

interface ActionsProps {
  task: ShownTask;
  tabIndex: number;
  moves: ReturnType<typeof movesOf>;
  onEdit: () => void;
  onAdd: () => void;
  onRemove: () => void;
}

/** What can be done with a task: seen on hover, on the focus of the keyboard, and after a long press. */
function Actions({ task, tabIndex, moves, onEdit, onAdd, onRemove }: ActionsProps) {
  const { id, title, parent_id, completed, saving } = task;
  const button = { type: "button", tabIndex, disabled: id < 0 } as const;
  const steps = { up: -1, down: 1 };
  return (
    <div className="actions">
      <button {...button} disabled={false} aria-label={`Edit ${title}`} aria-disabled={saving} onClick={onEdit}>
        Edit
      </button>
      {!parent_id && !completed && (
        <button {...button} aria-label={`Add a subtask to ${title}`} onClick={onAdd}>
          Add subtask
        </button>
      )}
      {moves.hasSteps &&
        Object.entries(steps).map(([name, by]) => (
          <button
            key={name}
            {...button}
            className="step"
            aria-label={`Move ${title} ${name}`}
            aria-keyshortcuts={by < 0 ? "Alt+ArrowUp" : "Alt+ArrowDown"}
            aria-disabled={!moves.canStep(by)}
            onClick={() => moves.step(by)}
          >
            {by < 0 ? "↑" : "↓"}
          </button>
        ))}
      <button {...button} className="remove" aria-label={`Delete ${title}`} onClick={onRemove}>
        Delete
      </button>
    </div>
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
