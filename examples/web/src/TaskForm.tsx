import { type FormEvent, type KeyboardEvent, type ReactNode, type RefObject, useEffect, useRef, useState } from "react";
import { dayOf, dueDate, localParts } from "./dates";
import { RULES, ruleInWords } from "./recurrence";
import { KEEP, REMINDERS, choiceOf, needDueDate, remindersOf } from "./reminders";
import { sameTag } from "./groups";
import type { Content, NamedList, Task, TaskStore } from "./tasks";

const TITLE = { required: true, maxLength: 200, pattern: ".*\\S.*", autoComplete: "off", dir: "auto" };

interface NewTaskProps {
  store: TaskStore;
  /** The list that it goes to; null is the inbox. */
  list_id: number | null;
  input: RefObject<HTMLInputElement | null>;
}

export function NewTask({ store, list_id, input }: NewTaskProps) {
  const [title, setTitle] = useState("");

  async function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const plan = planOf(new FormData(event.currentTarget));
    event.currentTarget.reset();
    setTitle("");
    input.current?.focus();
    // What was refused is not lost, unless something else is being typed already.
    if (!(await store.add({ title: title.trim(), ...plan, list_id }))) setTitle((typed) => typed || title);
  }

  return (
    <form className="new" onSubmit={submit}>
      <input
        ref={input}
        aria-label="New task"
        placeholder="New task"
        value={title}
        onChange={(event) => setTitle(event.target.value)}
        onKeyDown={(event) => event.key === "Escape" && event.currentTarget.blur()}
        {...TITLE}
      />
      <button className="primary">Add</button>
      <details>
        <summary>Date, repetition, priority, tags</summary>
        <Plan />
      </details>
    </form>
  );
}

/** One title after the other, until Escape. */
export function NewSubtask({ store, parent, onClose }: { store: TaskStore; parent: Task; onClose: () => void }) {
  const [title, setTitle] = useState("");
  const input = useFocus();

  async function submit(event: FormEvent) {
    event.preventDefault();
    setTitle("");
    if (!(await store.addSubtask(title.trim(), parent))) setTitle((typed) => typed || title);
  }

  return (
    <form className="subtask" aria-label={`Add a subtask to ${parent.title}`} onSubmit={submit} onKeyDown={onEscape(onClose)}>
      <input
        ref={input}
        aria-label="New subtask"
        placeholder="New subtask"
        value={title}
        onChange={(event) => setTitle(event.target.value)}
        {...TITLE}
      />
      <button>Add</button>
      <button type="button" onClick={onClose}>
        Close
      </button>
    </form>
  );
}

interface EditorProps {
  content: Content;
  /** Those that it can be in; none where that is its parent's. */
  lists?: NamedList[];
  /** What the task is now, when a change of it was refused. */
  current?: Content;
  onSave: (content: Content) => void;
  onCancel: () => void;
}

export function Editor({ content, lists, current, onSave, onCancel }: EditorProps) {
  const title = useFocus();

  function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const description = String(form.get("description")).trim() || null;
    const list_id = lists ? Number(form.get("list_id")) || null : content.list_id;
    onSave({ title: String(form.get("title")).trim(), description, list_id, ...planOf(form, content) });
  }

  return (
    <form className="edit" aria-label={`Edit ${content.title}`} onSubmit={submit} onKeyDown={onEscape(onCancel)}>
      <label>
        Title
        <input ref={title} name="title" defaultValue={content.title} {...TITLE} />
      </label>
      <label>
        Description
        <textarea name="description" defaultValue={content.description ?? ""} rows={2} maxLength={1000} dir="auto" />
      </label>
      <Plan content={content}>
        {lists && (
          <label className="whole">
            List
            <select name="list_id" defaultValue={content.list_id ?? ""}>
              <option value="">Inbox</option>
              {lists.map(({ id, name }) => (
                <option key={id} value={id}>
                  {name}
                </option>
              ))}
              {/* An archived one is not offered, but a task in it stays there. */}
              {content.list_id && !lists.some(({ id }) => id === content.list_id) && <option value={content.list_id}>Unchanged</option>}
            </select>
          </label>
        )}
      </Plan>
      {current && (
        <p className="current">
          It is now: “{current.title}”{current.description && `, “${current.description}”`}
        </p>
      )}
      <div>
        <button className="primary">Save</button>
        <button type="button" onClick={onCancel}>
          Cancel
        </button>
      </div>
    </form>
  );
}

/** The fields that a new task and a change have in common. */
function Plan({ content, children }: { content?: Content; children?: ReactNode }) {
  const { day, time } = localParts(content?.due_date ?? "");
  const rule = content?.recurrence ?? "";
  const reminders = content?.reminders ?? [];
  const reminder = choiceOf(reminders);
  return (
    <div className="plan">
      <label className="whole">
        Due
        <input type="date" name="day" defaultValue={day} />
      </label>
      <label>
        Time
        <input type="time" name="time" defaultValue={time} />
      </label>
      <label>
        Reminder
        <select name="reminder" defaultValue={reminder}>
          <option value="">None</option>
          {Object.entries(REMINDERS).map(([value, words]) => (
            <option key={value} value={value}>
              {words}
            </option>
          ))}
          {reminder === KEEP && <option value={KEEP}>{`Unchanged (${reminders.length})`}</option>}
        </select>
      </label>
      <label className="whole">
        Not before
        <input type="date" name="start" defaultValue={localParts(content?.start_date ?? "").day} />
      </label>
      <label>
        Repeats
        <select name="recurrence" defaultValue={rule}>
          <option value="">Never</option>
          {Object.entries(RULES).map(([value, words]) => (
            <option key={value} value={value}>
              {words}
            </option>
          ))}
          {rule && !(rule in RULES) && <option value={rule}>{ruleInWords(rule)}</option>}
        </select>
      </label>
      <label className="from">
        Counts from
        <select name="recurrence_from" defaultValue={content?.recurrence_from ?? "due_date"}>
          <option value="due_date">Due date</option>
          <option value="completion">Completion</option>
          {content?.recurrence_from === "schedule" && <option value="schedule">Schedule</option>}
        </select>
      </label>
      <label>
        Priority
        <select name="priority" defaultValue={content?.priority ?? ""}>
          <option value="">None</option>
          <option value="low">Low</option>
          <option value="medium">Medium</option>
          <option value="high">High</option>
        </select>
      </label>
      {children}
      <label className="tags whole">
        Tags
        <input name="tags" defaultValue={content?.tags.join(", ") ?? ""} placeholder="home, garden" autoComplete="off" dir="auto" />
      </label>
    </div>
  );
}

/** What the fields of `Plan` say. What has a time, a repetition or a reminder is due today, unless another day is given. */
function planOf(form: FormData, was?: Content): Omit<Content, "title" | "description" | "list_id"> {
  const [time, recurrence] = [String(form.get("time")), String(form.get("recurrence")) || null];
  const reminders = remindersOf(String(form.get("reminder")), was?.reminders ?? []);
  const day = String(form.get("day")) || (time || recurrence || needDueDate(reminders) ? dayOf(new Date()) : "");
  const before = localParts(was?.due_date ?? "");
  const start = String(form.get("start"));
  const tags = String(form.get("tags")).split(",").map((tag) => tag.trim());
  return {
    // What was not touched stays as it is written: it may have been meant elsewhere.
    due_date: day === before.day && time === before.time ? (was?.due_date ?? null) : dueDate(day, time),
    start_date: start === localParts(was?.start_date ?? "").day ? (was?.start_date ?? null) : start || null,
    recurrence,
    recurrence_from: recurrence ? (form.get("recurrence_from") as Content["recurrence_from"]) : null,
    reminders,
    priority: (form.get("priority") || null) as Content["priority"],
    tags: tags.filter((tag, n) => tag && tags.findIndex((other) => sameTag(other, tag)) === n),
  };
}

function useFocus() {
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => input.current?.focus(), []);
  return input;
}

/** An input method may take Escape for itself. */
function onEscape(leave: () => void) {
  return (event: KeyboardEvent) => {
    if (event.key === "Escape" && !event.nativeEvent.isComposing) leave();
  };
}
