import type { Notice } from "./notices";

interface Props {
  notice?: Notice;
  onUndo: (notice: Notice) => void;
  onDismiss: () => void;
}

/** Stays until something else is done: nobody has to be quick. */
export function Toast({ notice, onUndo, onDismiss }: Props) {
  return (
    <div className="toast" role="status" aria-label="Last change">
      {notice && (
        <>
          <p dir="auto">{notice.text}</p>
          <button type="button" aria-keyshortcuts="Control+Z" onClick={() => onUndo(notice)}>
            Undo
          </button>
          <button type="button" aria-label="Dismiss" onClick={onDismiss}>
            ×
          </button>
        </>
      )}
    </div>
  );
}
