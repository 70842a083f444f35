// Dragging a row by its grip, with a mouse, a pen or a finger: to another place among its siblings, or onto a list.
import type { PointerEvent as ReactPointerEvent } from "react";

const EDGE_PX = 56;
const SCROLL_PX = 12;

interface Drop {
  /** The siblings may be dropped upon: their rows have this as `data-run`. */
  run: string;
  onPlace: (target: number, side: "before" | "after") => void;
  /** Where the row may not go to a list, there is none. The text is the list's `data-view`. */
  onList?: (view: string) => void;
}

/** Follow the pointer until it is let go; Escape leaves everything as it was. */
export function drag(event: ReactPointerEvent<HTMLElement>, { run, onPlace, onList }: Drop) {
  if (event.button !== 0) return;
  event.preventDefault();
  const grip = event.currentTarget;
  const row = grip.closest("li")!;
  const ending = new AbortController();
  let target: HTMLElement | undefined;

  function point(at?: PointerEvent) {
    delete target?.dataset.drop;
    target = undefined;
    if (!at) return;
    const under = document.elementFromPoint(at.clientX, at.clientY);
    const sibling = under?.closest<HTMLElement>(`li[data-run="${CSS.escape(run)}"]`);
    const list = onList && under?.closest<HTMLElement>("li[data-view]");
    target = (sibling !== row && sibling) || list || undefined;
    if (target) target.dataset.drop = target === list ? "onto" : sideOf(target, at);
    if (at.clientY < EDGE_PX) scrollBy(0, -SCROLL_PX);
    if (at.clientY > innerHeight - EDGE_PX) scrollBy(0, SCROLL_PX);
  }

  function end(dropped: boolean) {
    const { id, view, drop } = target?.dataset ?? {};
    point();
    delete row.dataset.dragged;
    ending.abort();
    if (!dropped || !drop) return;
    if (view !== undefined) onList?.(view);
    else onPlace(Number(id), drop as "before" | "after");
  }

  const { signal } = ending;
  row.dataset.dragged = "";
  grip.setPointerCapture(event.pointerId);
  grip.addEventListener("pointermove", point, { signal });
  grip.addEventListener("pointerup", () => end(true), { signal });
  grip.addEventListener("pointercancel", () => end(false), { signal });
  document.addEventListener("keydown", ({ key }) => key === "Escape" && end(false), { signal });
}

function sideOf(row: HTMLElement, at: PointerEvent) {
  const { top, height } = row.getBoundingClientRect();
  return at.clientY < top + height / 2 ? "before" : "after";
}
