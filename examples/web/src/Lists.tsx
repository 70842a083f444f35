import { type FormEvent, type ReactNode, useEffect, useRef, useState, useSyncExternalStore } from "react";
import { isIn, type View } from "./groups";
import type { NamedList, ShownTask, TaskStore } from "./tasks";
import type { Notice } from "./notices";

export const NAME = { required: true, maxLength: 100, pattern: ".*\\S.*", autoComplete: "off", dir: "auto" };

/** Which list is open; the address has it, so that the browser's way back leads to the list before. */
export function useView(lists: NamedList[]): View {
  const hash = useSyncExternalStore(subscribeToHash, () => location.hash.slice(1));
  if (hash === "inbox") return hash;
  return lists.find(({ id }) => String(id) === hash)?.id;
}

function subscribeToHash(listener: () => void) {
  addEventListener("hashchange", listener);
  return () => removeEventListener("hashchange", listener);
}

interface ListsProps {
  store: TaskStore;
  lists: NamedList[];
  tasks: ShownTask[];
  view: View;
  children: ReactNode;
}

/** Every list with the number of its open tasks, and a field for a new one. */
export function Lists({ store, lists, tasks, view, children }: ListsProps) {
  const [name, setName] = useState("");
  const open = tasks.filter(({ completed, parent_id }) => !completed && !parent_id);
  const links: [View, string][] = [[undefined, "All tasks"], ["inbox", "Inbox"], ...lists.map(({ id, name }): [View, string] => [id, name])];

  async function submit(event: FormEvent) {
    event.preventDefault();
    setName("");
    const made = await store.addList(name.trim());
    if (made && made !== true) location.hash = String(made.id);
    else setName((typed) => typed || name);
  }

  return (
    <nav aria-label="Lists">
      <ul role="list">
        {links.map(([to, name]) => (
          <li key={to ?? "all"} data-view={to ?? "all"}>
            <a href={`#${to ?? ""}`} aria-current={to === view ? "page" : undefined}>
              <span dir="auto">{name}</span> <span>{open.filter((task) => isIn(task, to)).length || ""}</span>
            </a>
          </li>
        ))}
      </ul>
      <form onSubmit={submit}>
        <input aria-label="New list" placeholder="New list" value={name} onChange={(event) => setName(event.target.value)} {...NAME} />
        <button disabled={!name.trim()}>Add list</button>
      </form>
      {children}
    </nav>
  );
}

/** Beside the tasks on a wide page, and a sheet over them on a narrow one. */
export function SideBar({ view, children }: { view: View; children: ReactNode }) {
  const wide = useWide();
  const sheet = useRef<HTMLDialogElement>(null);
  useEffect(() => sheet.current?.close(), [view]);

  if (wide) return <aside>{children}</aside>;
  return (
    <>
      <button type="button" className="menu" onClick={() => sheet.current?.showModal()}>
        Lists
      </button>
      {/* A click on what is behind the sheet is one on the dialog itself. */}
      <dialog ref={sheet} aria-label="Lists" onClick={(event) => event.target === sheet.current && sheet.current.close()}>
        <div>
          <button type="button" onClick={() => sheet.current?.close()}>
            Close
          </button>
          {children}
        </div>
      </dialog>
    </>
  );
}

const WIDE = matchMedia("(min-width: 56rem)");

function useWide() {
  return useSyncExternalStore(
    (listener) => {
      WIDE.addEventListener("change", listener);
      return () => WIDE.removeEventListener("change", listener);
    },
    () => WIDE.matches,
  );
}

interface ListActionsProps {
  store: TaskStore;
  list: NamedList;
  onNotice: (notice: Notice | undefined) => void;
}

/** Rename the open list, or delete it with its tasks. */
export function ListActions({ store, list, onNotice }: ListActionsProps) {
  const [renaming, setRenaming] = useState(false);
  const rename = useRef<HTMLButtonElement>(null);

  function close() {
    setRenaming(false);
    requestAnimationFrame(() => rename.current?.focus());
  }

  async function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    if (await store.renameList(list, String(new FormData(event.currentTarget).get("name")).trim())) close();
  }

  async function remove() {
    if (!(await store.removeList(list))) return;
    location.hash = "";
    const undo = async () => {
      await store.restoreList(list);
      location.hash = String(list.id);
    };
    onNotice({ text: `Deleted the list “${list.name}” with its tasks.`, undo });
  }

  if (renaming)
    return (
      <form className="rename" aria-label={`Rename ${list.name}`} onSubmit={submit} onKeyDown={(event) => event.key === "Escape" && close()}>
        <input name="name" aria-label="Name of the list" autoFocus defaultValue={list.name} {...NAME} />
        <button className="primary">Save</button>
        <button type="button" onClick={close}>
          Cancel
        </button>
      </form>
    );
  return (
    <div className="list-actions">
      <button ref={rename} type="button" onClick={() => setRenaming(true)}>
        Rename
      </button>
      <button type="button" className="remove" onClick={() => void remove()}>
        Delete list
      </button>
    </div>
  );
}
