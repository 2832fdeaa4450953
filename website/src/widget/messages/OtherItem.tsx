import type { ReactNode } from "react";
import type { OtherEntry } from "../../chat/contract";
import { DeleteAction, MessageActions } from "./Actions";
import styles from "./messages.module.css";

/** An item that has no picture of its own here: what it says, in lines. */
export function OtherItem({ entry }: { readonly entry: OtherEntry }): ReactNode {
  return (
    <article className={styles.other} aria-label={entry.label} aria-busy={entry.writing}>
      <p className={styles.label}>
        {entry.label}
        {entry.writing && "…"}
      </p>
      {entry.lines.map((line, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: lines have no ids, and no state that could be mixed up
        <p key={index}>{line}</p>
      ))}
      {entry.image !== null && (
        <img
          src={entry.image}
          alt={entry.lines[0] ?? entry.label}
          loading="lazy"
          referrerPolicy="no-referrer"
        />
      )}
      {!entry.writing && (
        <MessageActions>
          <DeleteAction entryKey={entry.key} />
        </MessageActions>
      )}
    </article>
  );
}
