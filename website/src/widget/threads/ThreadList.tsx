import { type ReactNode, useRef, useState } from "react";
import type { ThreadRow as Row } from "../../chat/contract";
import { useAnnouncements } from "../parts/Announcer";
import { Button } from "../parts/Button";
import { useChat, useChatState } from "../parts/ChatContext";
import { ConfirmDialog } from "../parts/ConfirmDialog";
import { ThreadRow } from "./ThreadRow";
import styles from "./threads.module.css";

/** All conversations, the last active first. */
export function ThreadList({ onOpened }: { readonly onOpened: () => void }): ReactNode {
  const chat = useChat();
  const { attempt } = useAnnouncements();
  const { rows, hasMore, loading, problem } = useChatState((state) => state.threads);
  const openKey = useChatState((state) => state.open.key);
  const [deleting, setDeleting] = useState<Row | null>(null);
  const list = useRef<HTMLElement>(null);

  const open = (row: Row) => {
    onOpened();
    void attempt(() => chat.openThread(row.key));
  };
  const remove = async (row: Row) => {
    setDeleting(null);
    // The row, and the button that had the focus, go away.
    if (await attempt(() => chat.deleteThread(row.key), "Conversation deleted")) list.current?.focus();
  };

  return (
    <nav ref={list} className={styles.list} aria-label="Conversations" tabIndex={-1}>
      {problem && <p role="alert">{problem.message}</p>}
      {rows.length === 0 && !loading && problem === null && (
        <p className={styles.none}>No conversations yet.</p>
      )}
      <ul>
        {rows.map((row) => (
          <ThreadRow
            key={row.key}
            row={row}
            current={row.key === openKey}
            onOpen={() => open(row)}
            onDelete={() => setDeleting(row)}
          />
        ))}
      </ul>
      {loading && <p className={styles.none}>Loading…</p>}
      {hasMore && !loading && (
        <Button onClick={() => void attempt(() => chat.loadMoreThreads())}>More conversations</Button>
      )}
      {deleting && (
        <ConfirmDialog
          title="Delete conversation?"
          confirm="Delete"
          onConfirm={() => void remove(deleting)}
          onCancel={() => setDeleting(null)}
        >
          “{deleting.title ?? "New chat"}” is deleted for good, with all its messages, on all your devices.
        </ConfirmDialog>
      )}
    </nav>
  );
}
