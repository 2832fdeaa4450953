import { ThreadPrimitive } from "@assistant-ui/react";
import { type ReactNode, useRef } from "react";
import { EntryRow } from "../messages/EntryRow";
import { Notice } from "../messages/Notice";
import { Button } from "../parts/Button";
import { useChat, useChatState } from "../parts/ChatContext";
import { Icon } from "../parts/Icon";
import styles from "./conversation.module.css";
import { KeepPlace } from "./KeepPlace";
import { OlderMessages } from "./OlderMessages";
import { Progress } from "./Progress";
import { Welcome } from "./Welcome";

/**
 * What was said. Rows are keyed by entry: assistant-ui's own list keys them by index, and would draw all anew when older
 * ones arrive in front.
 */
export function Messages(): ReactNode {
  const viewport = useRef<HTMLDivElement>(null);
  const { entries, loading, answering, problem } = useChatState((state) => state.open);
  const last = entries.filter((entry) => entry.kind === "assistant").at(-1);
  const isNew = entries.length === 0 && !loading && problem === null;
  return (
    <ThreadPrimitive.Viewport
      ref={viewport}
      className={styles.viewport}
      role="log"
      aria-label="Messages"
      // AnswerAnnouncer speaks whole answers; the log itself would speak every token.
      aria-live="off"
      aria-busy={loading}
      tabIndex={0}
      scrollToBottomOnInitialize
    >
      <KeepPlace viewport={viewport} firstKey={entries[0]?.key ?? null}>
        <OlderMessages viewport={viewport} />
        {isNew && <Welcome />}
        {loading && entries.length === 0 && <p className={styles.loading}>Loading…</p>}
        {entries.map((entry) => (
          <div key={entry.key} className={entry === entries.at(-1) ? styles.lastRow : styles.row}>
            <EntryRow entry={entry} mayRegenerate={entry === last && !answering} />
          </div>
        ))}
        {problem && <OpenProblem />}
        <Progress />
      </KeepPlace>
      <ThreadPrimitive.ScrollToBottom className={styles.toEnd} aria-label="To the newest message">
        <Icon name="end" />
      </ThreadPrimitive.ScrollToBottom>
    </ThreadPrimitive.Viewport>
  );
}

function OpenProblem(): ReactNode {
  const chat = useChat();
  const { key, problem } = useChatState((state) => state.open);
  if (problem === null) return null;
  return (
    <div role="alert">
      <Notice problem={problem} />
      {problem.canRetry && <Button onClick={() => void chat.openThread(key)}>Try again</Button>}
    </div>
  );
}
