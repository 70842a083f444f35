// Which tasks a page shows, under which heading, and in which order. Knows no API and no React.
import { dayOf, isOver, localParts } from "./dates";
import type { ShownTask } from "./tasks";

export const GROUPS = ["Overdue", "Today", "Next", "No date", "Done"] as const;
export type GroupName = (typeof GROUPS)[number];

/** A task with its subtasks. `run`: among entries of the same run a person decides which comes first. */
export interface Entry {
  task: ShownTask;
  subtasks: ShownTask[];
  run: string;
}

export interface Filter {
  /** Text in the title or the description. */
  q?: string;
  tag?: string;
}

/** Every group, also the empty ones. A task stands where the earliest of its open subtasks is due, if that is earlier. */
export function grouped(tasks: ShownTask[], filter: Filter, now: Date): Map<GroupName, Entry[]> {
  const groups = new Map<GroupName, Entry[]>(GROUPS.map((name) => [name, []]));
  for (const entry of entriesOf(tasks)) {
    if (![entry.task, ...entry.subtasks].some((task) => matches(task, filter))) continue;
    const due = earliestDue(entry);
    const name = groupOf(entry.task, due, now);
    groups.get(name)!.push({ ...entry, run: `${name} ${sortKey(due)}` });
  }
  for (const [name, entries] of groups) entries.sort(name === "Done" ? lastDoneFirst : byRun);
  return groups;
}

function entriesOf(tasks: ShownTask[]): Entry[] {
  const ids = new Set(tasks.map(({ id }) => id));
  const subtasks = new Map<number, ShownTask[]>();
  for (const task of tasks) {
    if (task.parent_id) subtasks.set(task.parent_id, [task, ...(subtasks.get(task.parent_id) ?? [])]);
  }
  const top = tasks.filter(({ parent_id }) => !parent_id || !ids.has(parent_id));
  return top.map((task) => ({ task, run: "", subtasks: subtasks.get(task.id) ?? [] }));
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
  if (!due) return "No date";
  if (isOver(due, now)) return "Overdue";
  return localParts(due).day === dayOf(now) ? "Today" : "Next";
}

/** Days in their order; on a day what has a time first, by the time. */
function sortKey(due: string | undefined) {
  if (!due) return "";
  const { day, time } = localParts(due);
  return `${day} ${time || "all day"}`;
}

function byRun(a: Entry, b: Entry) {
  if (a.run !== b.run) return a.run < b.run ? -1 : 1;
  return b.task.id - a.task.id;
}

function lastDoneFirst(a: Entry, b: Entry) {
  return (b.task.completed_at ?? "~").localeCompare(a.task.completed_at ?? "~") || b.task.id - a.task.id;
}
