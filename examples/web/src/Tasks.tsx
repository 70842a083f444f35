import { type FormEvent, type KeyboardEvent, type RefObject, useEffect, useRef, useState, useSyncExternalStore } from "react";
import { Alert, Heading } from "./App";
import { authClient } from "./auth";
import { type ShownTask, type Task, TaskList, type Texts } from "./tasks";

const API_URL = document.querySelector<HTMLMetaElement>('meta[name="api-url"]')!.content || location.origin;

interface Props {
  user: { id: string; name: string };
  /** Something was refused: is the person still signed in? */
  onDoubt: () => void;
  onSignedOut: () => void;
}

/** The tasks of one session, which are forgotten with it. */
export function Tasks(props: Props) {
  const [list, setList] = useState<TaskList>();
  useEffect(() => {
    const list = new TaskList(API_URL, props.user.id);
    setList(list);
    void list.loadMore().then(() => list.follow());
    return () => list.close();
  }, [props.user.id]);
  return list && <Page list={list} {...props} />;
}

function Page({ list, user, onDoubt, onSignedOut }: Props & { list: TaskList }) {
  const { tasks, more, loading, alert, deleted, filter } = useSyncExternalStore(list.subscribe, list.getState);
  const [signOutAlert, setSignOutAlert] = useState("");
  const rows = useRef<HTMLUListElement>(null);
  const newTask = useRef<HTMLInputElement>(null);
  const done = tasks.filter(({ completed }) => completed).length;

  useEffect(() => {
    if (alert) onDoubt();
  }, [alert]);

  async function signOut() {
    const { error } = await authClient.signOut().catch(() => ({ error: true }));
    if (error) setSignOutAlert("You are still signed in: the server cannot be reached. Try again.");
    else onSignedOut();
  }

  async function loadMore() {
    const before = rows.current?.children.length ?? 0;
    await list.loadMore();
    // The button may be gone: go on with the first of the new ones.
    requestAnimationFrame(() => rows.current?.children[before]?.querySelector("input")?.focus());
  }

  /** Where the keyboard goes on when a task is gone: the next one, the one before, or a new one. */
  function leave(row: HTMLElement) {
    const neighbour = row.nextElementSibling ?? row.previousElementSibling;
    (neighbour?.querySelector<HTMLElement>(".remove") ?? newTask.current)?.focus();
  }

  return (
    <>
      <header>
        <p>{user.name}</p>
        <button type="button" onClick={signOut}>
          Sign out
        </button>
      </header>
      <main>
        <Heading>Tasks</Heading>
        <NewTask list={list} input={newTask} />
        <Search list={list} tag={filter.tag} />
        <p className="count" role="status">
          {loading ? "Loading …" : summary(tasks.length, done, more, Boolean(filter.q || filter.tag))}
        </p>
        {deleted && (
          <p className="undo" role="status">
            <span>Deleted “{deleted.title}”.</span>
            <button type="button" onClick={() => void list.restore(deleted).then(() => newTask.current?.focus())}>
              Undo
            </button>
          </p>
        )}
        {/* The role, because Safari takes it from lists without bullets. */}
        <ul ref={rows} role="list" aria-label="Tasks">
          {tasks.map((task) => (
            <Row key={task.id} task={task} list={list} onLeave={leave} />
          ))}
        </ul>
        {more && (tasks.length > 0 || !loading) && (
          <button type="button" aria-disabled={loading} onClick={loadMore}>
            {tasks.length ? "Load more" : "Load tasks"}
          </button>
        )}
      </main>
      <Alert
        text={signOutAlert || alert}
        onDismiss={() => {
          setSignOutAlert("");
          list.dismiss();
        }}
      />
    </>
  );
}

function summary(shown: number, done: number, more: boolean, filtered: boolean) {
  if (!shown && filtered) return "Nothing found.";
  if (!shown) return more ? "" : "Nothing to do. Add your first task.";
  return more ? `${shown} shown, ${done} done` : `${done} of ${shown} done`;
}

function NewTask({ list, input }: { list: TaskList; input: RefObject<HTMLInputElement | null> }) {
  const [title, setTitle] = useState("");

  async function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const plan = planOf(new FormData(event.currentTarget));
    event.currentTarget.reset();
    setTitle("");
    input.current?.focus();
    // What was refused is not lost, unless something else is being typed already.
    if (!(await list.add(title.trim(), plan))) setTitle((typed) => typed || title);
  }

  return (
    <form className="new" onSubmit={submit}>
      <label>
        New task
        <input ref={input} value={title} onChange={(event) => setTitle(event.target.value)} {...TITLE} />
      </label>
      <button className="primary">Add</button>
      <details>
        <summary>Due date, priority, tags</summary>
        <Plan />
      </details>
    </form>
  );
}

/** The fields that a new task and a change have in common. */
function Plan({ texts }: { texts?: Texts }) {
  return (
    <div className="plan">
      <label>
        Due
        <input type="date" name="due_date" defaultValue={texts?.due_date?.slice(0, 10) ?? ""} />
      </label>
      <label>
        Priority
        <select name="priority" defaultValue={texts?.priority ?? ""}>
          <option value="">None</option>
          <option value="low">Low</option>
          <option value="medium">Medium</option>
          <option value="high">High</option>
        </select>
      </label>
      <label>
        Tags
        <input name="tags" defaultValue={texts?.tags?.join(", ") ?? ""} placeholder="home, garden" autoComplete="off" dir="auto" />
      </label>
    </div>
  );
}

/** What the fields of `Plan` say. A time of day that was there stays, as long as its day does. */
function planOf(form: FormData, was?: Texts): Pick<Texts, "due_date" | "priority" | "tags"> {
  const day = String(form.get("due_date")) || null;
  const tags = String(form.get("tags")).split(",").map((tag) => tag.trim());
  return {
    due_date: day !== null && was?.due_date?.startsWith(day) ? was.due_date : day,
    priority: (form.get("priority") || null) as Texts["priority"],
    tags: tags.filter((tag, n) => tag && tags.findIndex((other) => other.toLowerCase() === tag.toLowerCase()) === n),
  };
}

const SEARCH_DELAY = 250; // milliseconds after the last letter

function Search({ list, tag }: { list: TaskList; tag?: string }) {
  const [q, setQ] = useState("");
  const begun = useRef(false);

  useEffect(() => {
    if (!begun.current && !q) return;
    begun.current = true;
    const timer = setTimeout(() => void list.find({ ...list.getState().filter, q: q.trim() || undefined }), SEARCH_DELAY);
    return () => clearTimeout(timer);
  }, [q]);

  return (
    <search>
      <label>
        Search
        <input type="search" value={q} onChange={(event) => setQ(event.target.value)} maxLength={200} dir="auto" />
      </label>
      {tag && (
        <button type="button" className="tag" onClick={() => void list.find({ ...list.getState().filter, tag: undefined })}>
          All tags instead of {tag}
        </button>
      )}
    </search>
  );
}

const TITLE = { required: true, maxLength: 200, pattern: ".*\\S.*", autoComplete: "off", dir: "auto" };

interface RowProps {
  task: ShownTask;
  list: TaskList;
  onLeave: (row: HTMLElement) => void;
}

/** A task, or the form that it is changed with. */
function Row({ task, list, onLeave }: RowProps) {
  // The task as it was when the form was opened, and the texts that the form begins with.
  const [editing, setEditing] = useState<{ task: ShownTask; texts: Texts; refused?: true }>();
  const row = useRef<HTMLLIElement>(null);
  const editButton = useRef<HTMLButtonElement>(null);
  const draft = task.id < 0; // it has no id yet, so nothing can be done with it

  function close() {
    setEditing(undefined);
    requestAnimationFrame(() => editButton.current?.focus());
  }

  async function save(texts: Texts) {
    close();
    if (!editing || (await list.edit(editing.task, texts))) return;
    const now = list.getState().tasks.find(({ id }) => id === task.id);
    if (now) setEditing({ task: now, texts, refused: true });
  }

  if (editing)
    return (
      <li>
        <Editor texts={editing.texts} now={editing.refused && task} onSave={save} onCancel={close} />
      </li>
    );
  return (
    <li ref={row} aria-busy={task.saving} className={task.completed ? "done" : undefined}>
      <label>
        <input
          type="checkbox"
          checked={task.completed}
          disabled={draft}
          onChange={(event) => void list.complete(task, event.target.checked)}
        />
        <span dir="auto">{task.title}</span>
      </label>
      {task.description && <p dir="auto">{task.description}</p>}
      <Facts task={task} onTag={(tag) => void list.find({ ...list.getState().filter, tag })} />
      <div>
        <button
          type="button"
          ref={editButton}
          aria-label={`Edit ${task.title}`}
          // The ETag to change it with is in the answer that is on its way.
          aria-disabled={task.saving}
          onClick={() => task.saving || setEditing({ task, texts: task })}
        >
          Edit
        </button>
        <button
          type="button"
          className="remove"
          aria-label={`Delete ${task.title}`}
          disabled={draft}
          onClick={() => {
            if (row.current) onLeave(row.current);
            void list.remove(task);
          }}
        >
          Delete
        </button>
      </div>
    </li>
  );
}

/** What is planned of it, in a line. */
function Facts({ task, onTag }: { task: Task; onTag: (tag: string) => void }) {
  const { due_date, priority, recurrence, tags } = task;
  if (!due_date && !priority && !tags?.length) return null;
  const overdue = due_date && !task.completed && isOver(due_date);
  return (
    <p className="facts">
      {due_date && (
        <span className={overdue ? "overdue" : undefined}>
          {overdue ? "Overdue: " : "Due "}
          <time dateTime={due_date}>{shownDate(due_date)}</time>
          {recurrence && " (repeats)"}
        </span>
      )}
      {priority && <span className={`priority ${priority}`}>{PRIORITIES[priority]}</span>}
      {tags?.map((tag) => (
        <button key={tag} type="button" className="tag" aria-label={`Only tasks with the tag ${tag}`} onClick={() => onTag(tag)}>
          {tag}
        </button>
      ))}
    </p>
  );
}

const PRIORITIES = { low: "Low priority", medium: "Medium priority", high: "High priority" };

/** A day is over when it has ended here. */
function isOver(due: string) {
  const end = due.includes("T") ? new Date(due) : new Date(`${due}T24:00:00`);
  return end.getTime() <= Date.now();
}

function shownDate(due: string) {
  const withTime = due.includes("T");
  const options: Intl.DateTimeFormatOptions = withTime ? { dateStyle: "medium", timeStyle: "short" } : { dateStyle: "medium" };
  return new Intl.DateTimeFormat(undefined, options).format(new Date(withTime ? due : `${due}T00:00:00`));
}

interface EditorProps {
  texts: Texts;
  /** What the task is now, when a change of it was refused. */
  now?: Texts;
  onSave: (texts: Texts) => void;
  onCancel: () => void;
}

function Editor({ texts, now, onSave, onCancel }: EditorProps) {
  const title = useRef<HTMLInputElement>(null);
  useEffect(() => title.current?.focus(), []);

  function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    const form = new FormData(event.currentTarget);
    const description = String(form.get("description")).trim() || null;
    onSave({ title: String(form.get("title")).trim(), description, ...planOf(form, texts) });
  }

  function leaveOnEscape(event: KeyboardEvent) {
    // An input method may take Escape for itself.
    if (event.key === "Escape" && !event.nativeEvent.isComposing) onCancel();
  }

  return (
    <form aria-label={`Edit ${texts.title}`} onSubmit={submit} onKeyDown={leaveOnEscape}>
      <label>
        Title
        <input ref={title} name="title" defaultValue={texts.title} {...TITLE} />
      </label>
      <label>
        Description
        <textarea name="description" defaultValue={texts.description ?? ""} rows={3} maxLength={1000} dir="auto" />
      </label>
      <Plan texts={texts} />
      {now && (
        <p className="now">
          It is now: “{now.title}”{now.description && `, “${now.description}”`}
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
