import type { ReactNode } from "react";
import { useAnnouncements } from "../parts/Announcer";
import { Button } from "../parts/Button";
import { useChat } from "../parts/ChatContext";
import styles from "./account.module.css";

interface DemoUsersProps {
  readonly names: readonly string[];
  readonly onDone: () => void;
}

/** The demo's users, who need no password. */
export function DemoUsers({ names, onDone }: DemoUsersProps): ReactNode {
  const chat = useChat();
  const { attempt } = useAnnouncements();
  const enter = async (name: string) => {
    if (await attempt(() => chat.signInAs(name), `You are ${capitalized(name)}`)) onDone();
  };
  return (
    <div className={styles.demo}>
      <p>For a try, without a password:</p>
      {names.map((name) => (
        <Button key={name} onClick={() => void enter(name)}>
          Continue as {capitalized(name)}
        </Button>
      ))}
    </div>
  );
}

/** The server writes them small. */
function capitalized(name: string): string {
  return name.charAt(0).toUpperCase() + name.slice(1);
}
