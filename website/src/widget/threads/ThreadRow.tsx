import { type ReactNode, useEffect, useId, useRef, useState } from "react";
import type { ThreadRow as Row } from "../../chat/contract";
import { Icon } from "../parts/Icon";
import { IconButton } from "../parts/IconButton";
import { shortTime } from "../parts/times";
import { RenameForm } from "./RenameForm";
import styles from "./threads.module.css";

interface ThreadRowProps {
  readonly row: Row;
  readonly current: boolean;
  readonly onOpen: () => void;
  readonly onDelete: () => void;
}

export function ThreadRow({ row, current, onOpen, onDelete }: ThreadRowProps): ReactNode {
  const [renaming, setRenaming] = useState(false);
  const rename = useRef<HTMLButtonElement>(null);
  const title = useId();
  const wasRenaming = useRef(false);
  useEffect(() => {
    // The form had the focus, and is gone.
    if (wasRenaming.current && !renaming) rename.current?.focus();
    wasRenaming.current = renaming;
  }, [renaming]);
  if (renaming) {
    return (
      <li className={styles.row}>
        <RenameForm row={row} onDone={() => setRenaming(false)} />
      </li>
    );
  }
  return (
    <li className={styles.row} data-current={current}>
      <button
        type="button"
        className={styles.open}
        aria-current={current ? "true" : undefined}
        onClick={onOpen}
      >
        <span className={styles.head}>
          <span id={title} className={styles.title}>
            {row.title ?? "New chat"}
          </span>
          <time dateTime={new Date(row.lastMessageAt).toISOString()}>{shortTime(row.lastMessageAt)}</time>
        </span>
        <span className={styles.preview}>
          {row.waiting && (
            <span className={styles.waiting}>
              <Icon name="clock" size={14} /> Waiting ·{" "}
            </span>
          )}
          {row.preview ?? "No messages"}
        </span>
      </button>
      <span className={styles.actions}>
        <IconButton
          ref={rename}
          icon="pencil"
          label="Rename"
          aria-describedby={title}
          onClick={() => setRenaming(true)}
        />
        <IconButton icon="trash" label="Delete" aria-describedby={title} onClick={onDelete} />
      </span>
    </li>
  );
}
