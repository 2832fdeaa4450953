import { type FormEvent, type ReactNode, useEffect, useRef, useState } from "react";
import type { SignInWays } from "../../chat/contract";
import { useAnnouncements } from "../parts/Announcer";
import { Button } from "../parts/Button";
import { useChat } from "../parts/ChatContext";
import styles from "./account.module.css";
import { DemoUsers } from "./DemoUsers";

/** How one signs in, or makes an account. */
export function SignIn({
  ways,
  onDone,
}: {
  readonly ways: SignInWays;
  readonly onDone: () => void;
}): ReactNode {
  const place = useRef<HTMLElement>(null);
  useEffect(() => place.current?.querySelector<HTMLElement>("input, button")?.focus(), []);
  return (
    <section ref={place} className={styles.signIn} aria-label="Sign-in">
      <h2>Keep your conversations</h2>
      <p>Signed in, they are there again on every device of yours, and nobody else sees them.</p>
      {ways.password && <PasswordForm onDone={onDone} />}
      {ways.demoUsers.length > 0 && <DemoUsers names={ways.demoUsers} onDone={onDone} />}
      {!ways.password && ways.demoUsers.length === 0 && <p>This site has no sign-in.</p>}
    </section>
  );
}

function PasswordForm({ onDone }: { readonly onDone: () => void }): ReactNode {
  const chat = useChat();
  const { attempt } = useAnnouncements();
  const [isNew, setNew] = useState(false);
  const [busy, setBusy] = useState(false);

  const submit = async (event: FormEvent<HTMLFormElement>) => {
    event.preventDefault();
    const fields = new FormData(event.currentTarget);
    const [email, password] = [String(fields.get("email")), String(fields.get("password"))];
    setBusy(true);
    const done = await attempt(
      () => (isNew ? chat.signUp(email, password) : chat.signIn(email, password)),
      "You are signed in",
    );
    setBusy(false);
    if (done) onDone();
  };
  return (
    <form className={styles.form} onSubmit={submit}>
      <label>
        E-mail
        <input name="email" type="email" autoComplete="username" required />
      </label>
      <label>
        Password
        <input
          name="password"
          type="password"
          autoComplete={isNew ? "new-password" : "current-password"}
          minLength={isNew ? 8 : undefined}
          required
        />
      </label>
      <Button type="submit" look="primary" disabled={busy}>
        {isNew ? "Create account" : "Sign in"}
      </Button>
      <Button look="link" onClick={() => setNew(!isNew)}>
        {isNew ? "I have an account" : "I am new here"}
      </Button>
    </form>
  );
}
