// Which tasks a page shows, under which heading, and in which order. Knows no API and no React.
import { byPosition } from "./copy";
import { dayOf, isOver, localParts } from "./dates";
import type { ShownTask } from "./tasks";

export const GROUPS = ["Overdue", "Today", "Next", "No date", "Done"] as const;
export type GroupName = (typeof GROUPS)[number];

/** A task with its subtasks. `due`: when it is due, as text that sorts. */
export interface Entry {
  task: ShownTask;
  subtasks: ShownTask[];
  due: string;
}

/** Of one list, `"inbox"` for the tasks in none, or of all. */
export type View = number | "inbox" | undefined;

export interface Filter {
  view?: View;
  /** Text in the title or the description. */
  q?: string;
  tag?: string;
}

/** Every group, also the empty ones. A task stands where the earliest of its open subtasks is due, if that is earlier. */
export function grouped(tasks: ShownTask[], filter: Filter, now: Date): Map<GroupName, Entry[]> {
  const groups = new Map<GroupName, Entry[]>(GROUPS.map((name) => [name, []]));
  for (const entry of entriesOf(inOrder(tasks))) {
    if (!isIn(entry.task, filter.view) || ![entry.task, ...entry.subtasks].some((task) => matches(task, filter))) continue;
    const due = earliestDue(entry);
    groups.get(groupOf(entry.task, due, now))!.push({ ...entry, due: sortKey(due ?? laterStart(entry.task, now)) });
  }
  for (const [name, entries] of groups) entries.sort(name === "Done" ? lastDoneFirst : soonestFirst);
  return groups;
}

/** In the order that the person has made, with what is on its way to another place already there. */
function inOrder(tasks: ShownTask[]) {
  const ordered = tasks.toSorted(byPosition);
  // The oldest draft first, which the next one may be behind.
  for (const task of tasks.toReversed()) {
    if (task.after === undefined) continue;
    ordered.splice(ordered.indexOf(task), 1);
    ordered.splice(ordered.findIndex(({ id }) => id === task.after) + 1, 0, task);
  }
  return ordered;
}

function entriesOf(tasks: ShownTask[]): Entry[] {
  const ids = new Set(tasks.map(({ id }) => id));
  const subtasks = new Map<number, ShownTask[]>();
  for (const task of tasks) {
    if (task.parent_id) subtasks.set(task.parent_id, [...(subtasks.get(task.parent_id) ?? []), task]);
  }
  const top = tasks.filter(({ parent_id }) => !parent_id || !ids.has(parent_id));
  return top.map((task) => ({ task, due: "", subtasks: subtasks.get(task.id) ?? [] }));
}

export function isIn({ list_id }: ShownTask, view: View) {
  return view === undefined || list_id === (view === "inbox" ? null : view);
}

function matches(task: ShownTask, { q, tag }: Filter) {
  const text = `${task.title}\n${task.description ?? ""}`.toLowerCase();
  return (!q || text.includes(q.toLowerCase())) && (!tag || task.tags.some((other) => sameTag(other, tag)));
}

export function sameTag(a: string, b: string) {
  return a.toLowerCase() === b.toLowerCase();
}

function earliestDue({ task, subtasks }: Entry) {
  const dues = [task, ...subtasks.filter(({ completed }) => !completed)].flatMap(({ due_date }) => due_date ?? []);
  return dues.sort((a, b) => (sortKey(a) < sortKey(b) ? -1 : 1))[0];
}

function groupOf(task: ShownTask, due: string | undefined, now: Date): GroupName {
  if (task.completed) return "Done";
  if (!due) return laterStart(task, now) ? "Next" : "No date";
  if (isOver(due, now)) return "Overdue";
  return localParts(due).day === dayOf(now) ? "Today" : "Next";
}

/** When a task can be begun, if that is after today. */
export function laterStart({ start_date }: ShownTask, now: Date) {
  return start_date && localParts(start_date).day > dayOf(now) ? start_date : undefined;
}

/** Days in their order; on a day what has a time first, by the time. Among equals a person decides. */
function sortKey(due: string | undefined) {
  if (!due) return "";
  const { day, time } = localParts(due);
  return `${day} ${time || "all day"}`;
}

function soonestFirst(a: Entry, b: Entry) {
  if (a.due === b.due) return 0; // in the person's order
  return a.due < b.due ? -1 : 1;
}

function lastDoneFirst(a: Entry, b: Entry) {
  return (b.task.completed_at ?? "~").localeCompare(a.task.completed_at ?? "~") || b.task.id - a.task.id;
}
