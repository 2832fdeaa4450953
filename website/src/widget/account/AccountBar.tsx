import type { ReactNode } from "react";
import { useAnnouncements } from "../parts/Announcer";
import { Button } from "../parts/Button";
import { useChat, useChatState } from "../parts/ChatContext";
import { Icon } from "../parts/Icon";
import styles from "./account.module.css";

/** Who talks, and how to change that: at the foot of the list of conversations. */
export function AccountBar({ onSignIn }: { readonly onSignIn: () => void }): ReactNode {
  const chat = useChat();
  const { attempt } = useAnnouncements();
  const person = useChatState((state) => state.person);
  if (person.kind === "unknown") return null;
  return (
    <footer className={styles.bar}>
      <Icon name="person" />
      <span className={styles.name}>{person.kind === "account" ? person.name : "Not signed in"}</span>
      {person.kind === "account" ? (
        <Button onClick={() => void attempt(() => chat.signOut(), "You are signed out")}>Sign out</Button>
      ) : (
        canSignIn(person.ways) && <Button onClick={onSignIn}>Sign in</Button>
      )}
    </footer>
  );
}

export function canSignIn(ways: {
  readonly password: boolean;
  readonly demoUsers: readonly string[];
}): boolean {
  return ways.password || ways.demoUsers.length > 0;
}
