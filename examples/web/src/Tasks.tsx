import { type FormEvent, type KeyboardEvent, type RefObject, useEffect, useRef, useState, useSyncExternalStore } from "react";
import { Alert, Heading } from "./App";
import { authClient } from "./auth";
import { type ShownTask, TaskList, type Texts } from "./tasks";

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
    void list.loadMore();
    return () => list.close();
  }, [props.user.id]);
  return list && <Page list={list} {...props} />;
}

function Page({ list, user, onDoubt, onSignedOut }: Props & { list: TaskList }) {
  const { tasks, more, loading, alert } = useSyncExternalStore(list.subscribe, list.getState);
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
        <p className="count" role="status">
          {loading ? "Loading …" : summary(tasks.length, done, more)}
        </p>
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

function summary(shown: number, done: number, more: boolean) {
  if (!shown) return more ? "" : "Nothing to do. Add your first task.";
  return more ? `${shown} shown, ${done} done` : `${done} of ${shown} done`;
}

function NewTask({ list, input }: { list: TaskList; input: RefObject<HTMLInputElement | null> }) {
  const [title, setTitle] = useState("");

  async function submit(event: FormEvent) {
    event.preventDefault();
    setTitle("");
    input.current?.focus();
    // What was refused is not lost, unless something else is being typed already.
    if (!(await list.add(title.trim()))) setTitle((typed) => typed || title);
  }

  return (
    <form className="new" onSubmit={submit}>
      <label>
        New task
        <input ref={input} value={title} onChange={(event) => setTitle(event.target.value)} {...TITLE} />
      </label>
      <button className="primary">Add</button>
    </form>
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
    onSave({ title: String(form.get("title")).trim(), description: String(form.get("description")).trim() || null });
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
