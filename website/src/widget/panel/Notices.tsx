import type { ReactNode } from "react";
import type { Connection } from "../../chat/contract";
import { canSignIn } from "../account/AccountBar";
import { Button } from "../parts/Button";
import { useChat, useChatState } from "../parts/ChatContext";
import { untilTime } from "../parts/times";
import { useNow } from "../parts/useNow";
import styles from "./notices.module.css";

/** What one has to know at any time: there is no connection. */
export function ConnectionBanner(): ReactNode {
  const connection = useChatState((state) => state.connection);
  return <div role="status">{connection.kind !== "online" && <Away connection={connection} />}</div>;
}

const AWAY = {
  offline: "You are offline.",
  unreachable: "The server cannot be reached.",
  "server-down": "The server does not answer.",
} as const;

function Away({ connection }: { readonly connection: Exclude<Connection, { kind: "online" }> }): ReactNode {
  const chat = useChat();
  const waiting = useChatState((state) => state.waiting);
  const { kind, nextTryAt } = connection;
  const now = useNow(nextTryAt !== null);
  return (
    <div className={styles.banner}>
      <p>
        <strong>{AWAY[kind]}</strong>{" "}
        {waiting === 0
          ? "What you send waits here."
          : `${waiting} ${waiting === 1 ? "message waits" : "messages wait"}.`}
        {/* Not spoken: a counter would be read out every second. */}
        {nextTryAt !== null && <span aria-hidden="true"> Next try {untilTime(nextTryAt, now)}.</span>}
      </p>
      <Button look="link" onClick={() => chat.retry()}>
        Try now
      </Button>
    </div>
  );
}

/** What is not kept, and what can be done about it. */
export function KeepingNotice({ onSignIn }: { readonly onSignIn: () => void }): ReactNode {
  const person = useChatState((state) => state.person);
  const storage = useChatState((state) => state.storage);
  const signIn = person.kind === "visitor" && canSignIn(person.ways) && (
    <Button look="link" onClick={onSignIn}>
      Sign in
    </Button>
  );
  return (
    <>
      {storage !== "kept" && (
        <p className={styles.notice}>
          {storage === "full"
            ? "This browser's storage is full: messages that wait are lost when you close the page."
            : "This browser stores nothing here: messages that wait are lost when you close the page."}
        </p>
      )}
      {person.kind === "visitor" && !person.mayChat && (
        <p className={styles.notice}>You have to sign in to chat here. {signIn}</p>
      )}
      {person.kind === "visitor" && person.mayChat && !person.kept && (
        <p className={styles.notice}>You are not signed in: this history is not kept. {signIn}</p>
      )}
    </>
  );
}
