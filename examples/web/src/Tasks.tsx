import { useEffect, useMemo, useRef, useState, useSyncExternalStore } from "react";
import { Alert, Heading } from "./App";
import { authClient } from "./auth";
import { type Entry, type Filter, GROUPS, grouped } from "./groups";
import { Group } from "./Group";
import type { Notice } from "./notices";
import { Toast } from "./Toast";
import { focusTask, useKeys } from "./keys";
import { ListActions, Lists, SideBar, useView } from "./Lists";
import { NewTask } from "./TaskForm";
import { TaskStore } from "./tasks";

const API_URL = document.querySelector<HTMLMetaElement>('meta[name="api-url"]')!.content || location.origin;
const MINUTE_MS = 60_000;

interface Props {
  user: { id: string; name: string };
  /** Something was refused: is the person still signed in? */
  onDoubt: () => void;
  onSignedOut: () => void;
}

/** The tasks of one session, which are forgotten with it. */
export function Tasks(props: Props) {
  const [store, setStore] = useState<TaskStore>();
  useEffect(() => {
    const store = new TaskStore(API_URL, props.user.id);
    setStore(store);
    void store.load().then(() => store.follow());
    return () => store.close();
  }, [props.user.id]);
  return store && <Page store={store} {...props} />;
}

function Page({ store, user, onDoubt, onSignedOut }: Props & { store: TaskStore }) {
  const { tasks, lists, loading, alert } = useSyncExternalStore(store.subscribe, store.getState);
  const [filter, setFilter] = useState<Filter>({});
  const [notice, setNotice] = useState<Notice>();
  const [signOutAlert, setSignOutAlert] = useState("");
  const newTask = useRef<HTMLInputElement>(null);
  const search = useRef<HTMLInputElement>(null);
  const now = useNow();
  const view = useView(lists);
  const list = lists.find(({ id }) => id === view);
  const groups = useMemo(() => grouped(tasks, { ...filter, view }, now), [tasks, filter, view, now]);
  const shown = [...groups.values()].flat();
  useKeys({ n: newTask, "/": search }, notice && (() => void undo(notice)));

  useEffect(() => {
    if (alert) onDoubt();
  }, [alert]);

  async function signOut() {
    const { error } = await authClient.signOut().catch(() => ({ error: true }));
    if (error) setSignOutAlert("You are still signed in: the server cannot be reached. Try again.");
    else {
      location.hash = "";
      onSignedOut();
    }
  }

  async function undo({ undo, id }: Notice) {
    setNotice(undefined);
    newTask.current?.focus();
    await undo();
    focusTask(id);
  }

  return (
    <>
      <SideBar view={view}>
        <Lists {...{ store, lists, tasks, view }}>
          <div className="user">
            <p>{user.name}</p>
            <button type="button" onClick={signOut}>
              Sign out
            </button>
          </div>
        </Lists>
      </SideBar>
      <main>
        <div className="top">
          <Heading key={view ?? "all"}>{list?.name ?? (view === "inbox" ? "Inbox" : "Tasks")}</Heading>
          <div className="about">
            <p role="status">{loading && !tasks.length ? "Loading …" : summary(shown)}</p>
            {list && <ListActions key={list.id} store={store} list={list} onNotice={setNotice} />}
          </div>
          <search>
            <input
              ref={search}
              type="search"
              aria-label="Search"
              placeholder="Search"
              value={filter.q ?? ""}
              onChange={(event) => setFilter({ ...filter, q: event.target.value || undefined })}
              maxLength={200}
              dir="auto"
            />
          </search>
        </div>
        <NewTask store={store} list_id={list?.id ?? null} input={newTask} />
        {filter.tag && (
          <p className="filter">
            Only the tag “{filter.tag}”.
            <button type="button" onClick={() => setFilter({ ...filter, tag: undefined })}>
              All tags
            </button>
          </p>
        )}
        {GROUPS.map((name) => (
          <Group
            key={name}
            name={name}
            entries={groups.get(name)!}
            unfolded={Boolean(filter.q ?? filter.tag)}
            {...{ store, lists, view, now }}
            onNotice={setNotice}
            onTag={(tag) => setFilter({ ...filter, tag })}
          />
        ))}
        {!shown.length && !loading && <Empty filtered={Boolean(filter.q ?? filter.tag)} onClear={() => setFilter({})} />}
        <p className="keys">
          <kbd>n</kbd> new task <kbd>/</kbd> search <kbd>↑</kbd> <kbd>↓</kbd> from task to task <kbd>Alt ↑</kbd> <kbd>Alt ↓</kbd> move{" "}
          <kbd>Enter</kbd> edit
        </p>
      </main>
      <div className="notices">
        <Alert
          text={signOutAlert || alert}
          onDismiss={() => {
            setSignOutAlert("");
            store.dismiss();
          }}
        />
        <Toast notice={notice} onUndo={undo} onDismiss={() => setNotice(undefined)} />
      </div>
    </>
  );
}

/** The time, to the minute: a task becomes overdue while the page is open. */
function useNow() {
  const [now, setNow] = useState(() => new Date());
  useEffect(() => {
    const timer = setInterval(() => setNow(new Date()), MINUTE_MS);
    return () => clearInterval(timer);
  }, []);
  return now;
}

/** Without subtasks, as the groups and the lists count. */
function summary(entries: Entry[]) {
  const done = entries.filter(({ task }) => task.completed).length;
  if (!entries.length) return "";
  return done ? `${entries.length - done} to do, ${done} done` : `${entries.length} to do`;
}

/** What to read where there is no task. */
function Empty({ filtered, onClear }: { filtered: boolean; onClear: () => void }) {
  if (filtered)
    return (
      <div className="empty">
        <h2>Nothing found</h2>
        <p>No task has this text in its title or description.</p>
        <button type="button" onClick={onClear}>
          Show all tasks
        </button>
      </div>
    );
  return (
    <div className="empty">
      <svg viewBox="0 0 48 48" aria-hidden="true">
        <path d="M14 24l7 7 14-15" />
        <circle cx="24" cy="24" r="20" />
      </svg>
      <h2>Nothing to do</h2>
      <p>Write a task above. Give it a date, and it is shown under Today when its day has come.</p>
    </div>
  );
}
