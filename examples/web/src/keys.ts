// The keyboard: letters that lead to a field, arrows from task to task, and where the focus goes when its place is gone.
import { type RefObject, useLayoutEffect } from "react";

/** Each key leads to its field, and Ctrl+Z to `undo`. What is written into a field, or the browser's own, stays so. */
export function useKeys(fields: Record<string, RefObject<HTMLInputElement | null>>, undo: (() => void) | undefined) {
  useLayoutEffect(() => {
    function onKeyDown(event: KeyboardEvent) {
      if (event.defaultPrevented || event.altKey || isWriting(event.target)) return;
      if (event.ctrlKey || event.metaKey) return event.key === "z" ? undo?.() : undefined;
      const field = fields[event.key]?.current;
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (!field && !step) return;
      event.preventDefault();
      if (field) field.focus();
      else focusNeighbour(step!);
    }
    document.addEventListener("keydown", onKeyDown);
    return () => document.removeEventListener("keydown", onKeyDown);
  }, [undo]);
}

function isWriting(target: EventTarget | null) {
  return target instanceof HTMLElement && target.matches("textarea, select, input:not([type=checkbox]), dialog *");
}

const CHECKBOXES = "main li > .line > input";

/** The task that has been worked on last, for arrows that are pressed elsewhere. */
let last: Element | null = null;

function focusNeighbour(step: number) {
  const boxes = [...document.querySelectorAll<HTMLElement>(CHECKBOXES)].filter((box) => box.checkVisibility());
  const row = document.activeElement?.closest("li") ?? last;
  const at = boxes.findIndex((box) => box.closest("li") === row);
  const box = boxes[at < 0 ? 0 : at + step];
  if (!box) return;
  last = box.closest("li");
  box.focus();
}

/** Where the keyboard goes on when a row goes: to the next task, the one before, or to a new one. */
export function leaveRow(row: HTMLElement) {
  const boxes = [...document.querySelectorAll<HTMLElement>(CHECKBOXES)];
  const after = boxes.find((box) => row.compareDocumentPosition(box) === Node.DOCUMENT_POSITION_FOLLOWING);
  const before = boxes.findLast((box) => row.compareDocumentPosition(box) === Node.DOCUMENT_POSITION_PRECEDING);
  (after ?? before ?? document.querySelector<HTMLElement>(".new input"))?.focus();
}

/** The checkbox of a task, as soon as it is there. */
export function focusTask(id: number | undefined) {
  requestAnimationFrame(() => document.querySelector<HTMLElement>(`li[data-id="${id}"] > .line > input`)?.focus());
}
