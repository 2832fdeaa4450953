import type { ReactNode } from "react";
import { useChatState } from "../parts/ChatContext";
import styles from "./conversation.module.css";

/** What the server does until the answer's first word, or when it says so. */
export function Progress(): ReactNode {
  const { answering, progress, entries } = useChatState((state) => state.open);
  const last = entries.at(-1);
  const speaking =
    last?.kind === "assistant" && last.state === "writing" && last.parts.some(({ text }) => text !== "");
  if (!answering || (speaking && progress === null)) return null;
  return (
    <p className={styles.progress}>
      <span className={styles.dots} aria-hidden="true">
        <i />
        <i />
        <i />
      </span>
      {progress ?? "Thinking"}
    </p>
  );
}
