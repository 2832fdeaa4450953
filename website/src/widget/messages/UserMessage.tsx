import type { ReactNode } from "react";
import type { AttachmentView, UserEntry } from "../../chat/contract";
import { CopyAction, DeleteAction, MessageActions } from "./Actions";
import { DeliveryLine } from "./DeliveryLine";
import styles from "./messages.module.css";

export function UserMessage({ entry }: { readonly entry: UserEntry }): ReactNode {
  return (
    <article className={styles.user} aria-label="You" data-delivery={entry.delivery.state}>
      {entry.attachments.length > 0 && <Attachments attachments={entry.attachments} />}
      {entry.text !== "" && <div className={styles.said}>{entry.text}</div>}
      <div className={styles.below}>
        <MessageActions>
          <CopyAction text={entry.text} />
          {entry.delivery.state === "sent" && <DeleteAction entryKey={entry.key} />}
        </MessageActions>
        <DeliveryLine entry={entry} />
      </div>
    </article>
  );
}

function Attachments({ attachments }: { readonly attachments: readonly AttachmentView[] }): ReactNode {
  return (
    <ul className={styles.attachments} aria-label="Attachments">
      {attachments.map(({ id, name, previewUrl }) => (
        <li key={id}>{previewUrl === null ? name : <img src={previewUrl} alt={name} loading="lazy" />}</li>
      ))}
    </ul>
  );
}
