import { type FormEvent, type ReactNode, useEffect, useRef, useState } from "react";
import type { ThreadRow } from "../../chat/contract";
import { useAnnouncements } from "../parts/Announcer";
import { Button } from "../parts/Button";
import { useChat } from "../parts/ChatContext";
import styles from "./threads.module.css";

/** Gives a conversation another title. Escape leaves the one it has. */
export function RenameForm({
  row,
  onDone,
}: {
  readonly row: ThreadRow;
  readonly onDone: () => void;
}): ReactNode {
  const chat = useChat();
  const { attempt } = useAnnouncements();
  const [title, setTitle] = useState(row.title ?? "");
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => input.current?.select(), []);

  const save = async (event: FormEvent) => {
    event.preventDefault();
    const wanted = title.trim();
    if (wanted === "" || wanted === row.title) return onDone();
    if (await attempt(() => chat.renameThread(row.key, wanted), "Conversation renamed")) onDone();
  };
  return (
    <form className={styles.rename} onSubmit={save}>
      <input
        ref={input}
        aria-label="Title"
        value={title}
        maxLength={200}
        onChange={(event) => setTitle(event.target.value)}
        onKeyDown={(event) => {
          if (event.key !== "Escape") return;
          event.stopPropagation();
          onDone();
        }}
      />
      <div className={styles.choices}>
        <Button onClick={onDone}>Cancel</Button>
        <Button type="submit" look="primary">
          Save
        </Button>
      </div>
    </form>
  );
}
