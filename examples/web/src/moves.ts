// Moving a task: among its siblings by the keyboard or a drag, and onto a list.
import type { PointerEvent } from "react";
import { drag } from "./drag";
import { focusTask } from "./keys";
import type { RowContext } from "./Row";
import type { ShownTask } from "./tasks";

interface Moving extends RowContext {
  task: ShownTask;
  /** Those that it can change places with, in their order, and itself. */
  siblings: ShownTask[];
  /** Names the siblings. */
  run: string;
}

export function movesOf({ task, siblings, run, store, lists, onNotice }: Moving) {
  const place = siblings.findIndex(({ id }) => id === task.id);
  const others = siblings.filter(({ id }) => id !== task.id);
  const put = (at: number, list_id = task.list_id) =>
    store.move(store.get(task.id) ?? task, others[at - 1]?.id ?? null, list_id);

  /** To a place among the siblings, counted from 0. */
  async function move(to: number) {
    if (to < 0 || to > others.length || to === place) return;
    const moved = put(to);
    focusTask(task.id);
    if (!(await moved)) return;
    onNotice({ text: `Moved “${task.title}” to ${to + 1} of ${siblings.length}.`, id: task.id, undo: () => put(place) });
  }

  async function moveToList(view: string) {
    const list_id = Number(view) || null; // onto all tasks is into the inbox, too
    const name = lists.find(({ id }) => id === list_id)?.name ?? "Inbox";
    if (list_id === task.list_id || !(await store.move(task, null, list_id))) return;
    onNotice({ text: `Moved “${task.title}” to ${name}.`, id: task.id, undo: () => put(place) });
  }

  function startDrag(event: PointerEvent<HTMLElement>) {
    drag(event, {
      run,
      onPlace: (target, side) => void move(others.findIndex(({ id }) => id === target) + (side === "after" ? 1 : 0)),
      onList: task.parent_id ? undefined : (view) => void moveToList(view),
    });
  }

  return {
    step: (by: number) => void move(place + by),
    canStep: (by: number) => Boolean(siblings[place + by]),
    hasSteps: others.length > 0,
    canDrag: others.length > 0 || (!task.parent_id && lists.length > 0),
    startDrag,
  };
}
