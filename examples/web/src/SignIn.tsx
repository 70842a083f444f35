import { type FormEvent, useState } from "react";
import { Alert, Heading } from "./App";
import { authClient } from "./auth";

/** Sign in, or sign up. When it has worked, useSession says so and the page is another one. */
export function SignIn() {
  const [isNew, setIsNew] = useState(false);
  const [busy, setBusy] = useState(false);
  const [alert, setAlert] = useState("");
  const heading = isNew ? "Create an account" : "Sign in";

  async function submit(event: FormEvent<HTMLFormElement>) {
    event.preventDefault();
    if (busy) return;
    const form = new FormData(event.currentTarget);
    const text = (name: string) => String(form.get(name) ?? "");
    const credentials = { email: text("email"), password: text("password") };
    setBusy(true);
    setAlert("");
    try {
      const { error } = isNew
        ? await authClient.signUp.email({ ...credentials, name: text("name") })
        : await authClient.signIn.email(credentials);
      if (error) setAlert(error.message ?? "That did not work. Try again.");
    } catch {
      setAlert("The server cannot be reached. Check your connection and try again.");
    }
    setBusy(false);
  }

  return (
    <main className="card">
      <Heading key={heading}>{heading}</Heading>
      <form onSubmit={submit}>
        {isNew && (
          <label>
            Name
            <input name="name" autoComplete="name" required maxLength={100} />
          </label>
        )}
        <label>
          Email
          <input name="email" type="email" autoComplete="username" required />
        </label>
        <label>
          Password
          <input
            name="password"
            type="password"
            autoComplete={isNew ? "new-password" : "current-password"}
            required
            minLength={isNew ? 8 : undefined}
            aria-describedby={isNew ? "password-rule" : undefined}
          />
        </label>
        {isNew && <p id="password-rule">At least 8 characters.</p>}
        <button className="primary" aria-disabled={busy}>
          {isNew ? "Create account" : "Sign in"}
        </button>
      </form>
      <p>
        {isNew ? "You have an account?" : "You are new here?"}{" "}
        <button type="button" className="link" onClick={() => { setIsNew(!isNew); setAlert(""); }}>
          {isNew ? "Sign in instead" : "Create an account"}
        </button>
      </p>
      <Alert text={alert} onDismiss={() => setAlert("")} />
    </main>
  );
}
