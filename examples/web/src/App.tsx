import { useEffect, useRef, useState } from "react";
import { authClient } from "./auth";
import { SignIn } from "./SignIn";
import { Tasks } from "./Tasks";

/** Who is signed in decides what there is to see. */
export function App() {
  const { data, isPending, refetch } = authClient.useSession();
  const [known, setKnown] = useState(false);
  const [ended, setEnded] = useState<string>();

  // Pending comes back with each look at the session; what is typed into the form must not go with it.
  if (!isPending && !known) setKnown(true);
  if (!known) return <p className="wait" role="status">Loading …</p>;
  // The session that was left is over at once, even if nobody can be asked whether it is.
  if (!data || data.session.id === ended) return <SignIn />;
  return (
    // The key: another session begins with nothing of the one before.
    <Tasks key={data.session.id} user={data.user} onDoubt={refetch} onSignedOut={() => setEnded(data.session.id)} />
  );
}

/** The page's heading; it takes the focus when the page is another one, so that nobody is left nowhere. */
export function Heading({ children }: { children: string }) {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => heading.current?.focus(), []);
  return (
    <h1 ref={heading} tabIndex={-1}>
      {children}
    </h1>
  );
}

/** Says what went wrong as soon as there is something. */
export function Alert({ text, onDismiss }: { text: string; onDismiss: () => void }) {
  return (
    <div className="alert" role="alert">
      {text && (
        <>
          <p>{text}</p>
          <button type="button" onClick={onDismiss}>
            Dismiss
          </button>
        </>
      )}
    </div>
  );
}
