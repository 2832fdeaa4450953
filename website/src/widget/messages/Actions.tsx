import { type ReactNode, useState } from "react";
import type { AssistantEntry } from "../../chat/contract";
import { useComposerPlace } from "../conversation/ComposerPlace";
import { useAnnouncements } from "../parts/Announcer";
import { useChat } from "../parts/ChatContext";
import { ConfirmDialog } from "../parts/ConfirmDialog";
import { IconButton } from "../parts/IconButton";
import { useCopy } from "../parts/useCopy";
import styles from "./messages.module.css";

/** What can be done with a message, in a row under it. */
export function MessageActions({ children }: { readonly children: ReactNode }): ReactNode {
  return <div className={styles.actions}>{children}</div>;
}

export function CopyAction({ text }: { readonly text: string }): ReactNode {
  const copy = useCopy();
  return <IconButton icon="copy" size="small" label="Copy message" onClick={() => copy(text)} />;
}

export function RateActions({ entry }: { readonly entry: AssistantEntry }): ReactNode {
  const chat = useChat();
  const { attempt } = useAnnouncements();
  const rate = (opinion: "positive" | "negative") =>
    void attempt(() => chat.rate(entry.key, opinion), "Thank you");
  return (
    <>
      <IconButton
        icon="up"
        size="small"
        label="Good answer"
        aria-pressed={entry.opinion === "positive"}
        onClick={() => rate("positive")}
      />
      <IconButton
        icon="down"
        size="small"
        label="Bad answer"
        aria-pressed={entry.opinion === "negative"}
        onClick={() => rate("negative")}
      />
    </>
  );
}

export function RegenerateAction(): ReactNode {
  const chat = useChat();
  const { attempt } = useAnnouncements();
  return (
    <IconButton
      icon="again"
      size="small"
      label="Answer again"
      onClick={() => void attempt(() => chat.regenerate())}
    />
  );
}

export function DeleteAction({ entryKey }: { readonly entryKey: string }): ReactNode {
  const chat = useChat();
  const place = useComposerPlace();
  const { attempt } = useAnnouncements();
  const [asking, setAsking] = useState(false);
  const remove = async () => {
    setAsking(false);
    // The row, and the button that had the focus, go away.
    if (await attempt(() => chat.deleteEntry(entryKey), "Message deleted")) place.current?.focus();
  };
  return (
    <>
      <IconButton icon="trash" size="small" label="Delete message" onClick={() => setAsking(true)} />
      {asking && (
        <ConfirmDialog
          title="Delete message?"
          confirm="Delete"
          onConfirm={remove}
          onCancel={() => setAsking(false)}
        >
          It is deleted for good, on all your devices.
        </ConfirmDialog>
      )}
    </>
  );
}
