import { useState } from "react";
import type { Entry, GroupName } from "./groups";
import { Row, type RowContext } from "./Row";

const ROWS_AT_ONCE = 100;

interface Props extends RowContext {
  name: GroupName;
  entries: Entry[];
  unfolded: boolean;
}

/** A heading with its tasks. What is done is folded away. */
export function Group({ name, entries, unfolded, ...context }: Props) {
  const [open, setOpen] = useState(false);
  const [limit, setLimit] = useState(ROWS_AT_ONCE);
  if (!entries.length) return null;
  const folds = name === "Done";
  const shown = !folds || open || unfolded;
  const id = `group-${name.replace(" ", "-")}`;
  return (
    <section className={name.toLowerCase()} aria-labelledby={id}>
      <h2 id={id}>
        {folds ? (
          <button type="button" aria-expanded={shown} onClick={() => setOpen(!shown)}>
            {name} <span>{entries.length}</span>
          </button>
        ) : (
          <>
            {name} <span>{entries.length}</span>
          </>
        )}
      </h2>
      {shown && (
        // The role, because Safari takes it from lists without bullets.
        <ul role="list" aria-label={name}>
          {entries.slice(0, limit).map((entry) => (
            <Row
              key={entry.task.id}
              task={entry.task}
              subtasks={entry.subtasks}
              siblings={siblingsOf(entry, entries)}
              run={`${entry.due} of ${entry.task.list_id}`}
              {...context}
            />
          ))}
        </ul>
      )}
      {shown && entries.length > limit && (
        <button type="button" onClick={() => setLimit(limit + ROWS_AT_ONCE)}>
          Show more of {entries.length}
        </button>
      )}
    </section>
  );
}

/** A person decides the order of what is due at the same time and in the same list. */
function siblingsOf({ task, due }: Entry, entries: Entry[]) {
  if (task.completed) return [task];
  const siblings = entries.filter((other) => other.due === due && other.task.list_id === task.list_id);
  return siblings.map((other) => other.task);
}
