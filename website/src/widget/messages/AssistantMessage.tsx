import type { ReactNode } from "react";
import type { AssistantEntry } from "../../chat/contract";
import { useAnnouncements } from "../parts/Announcer";
import { Button } from "../parts/Button";
import { useChat } from "../parts/ChatContext";
import { messageTime } from "../parts/times";
import { CopyAction, DeleteAction, MessageActions, RateActions, RegenerateAction } from "./Actions";
import { AnswerPart } from "./AnswerPart";
import styles from "./messages.module.css";
import { numberSources } from "./sources";

interface AssistantMessageProps {
  readonly entry: AssistantEntry;
  readonly mayRegenerate: boolean;
}

export function AssistantMessage({ entry, mayRegenerate }: AssistantMessageProps): ReactNode {
  const writing = entry.state === "writing";
  const parts = numberSources(entry.parts);
  return (
    <article className={styles.assistant} aria-label="Assistant" aria-busy={writing} data-state={entry.state}>
      {parts.map((part, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: parts have no ids, and are only ever appended
        <AnswerPart key={index} part={part} />
      ))}
      {entry.state === "cut" && <CutOff entryKey={entry.key} mayRegenerate={mayRegenerate} />}
      {!writing && (
        <div className={styles.below}>
          <MessageActions>
            <CopyAction text={entry.parts.map(({ text }) => text).join("\n\n")} />
            <RateActions entry={entry} />
            {mayRegenerate && entry.state === "whole" && <RegenerateAction />}
            <DeleteAction entryKey={entry.key} />
          </MessageActions>
          <p className={styles.delivery}>{messageTime(entry.createdAt)}</p>
        </div>
      )}
    </article>
  );
}

function CutOff({
  entryKey,
  mayRegenerate,
}: {
  readonly entryKey: string;
  readonly mayRegenerate: boolean;
}): ReactNode {
  const chat = useChat();
  const { attempt } = useAnnouncements();
  return (
    <div className={styles.cut}>
      <p>This answer was cut off.</p>
      <div className={styles.choices}>
        <Button look="link" onClick={() => void attempt(() => chat.join(entryKey))}>
          Fetch the rest
        </Button>
        {mayRegenerate && (
          <Button look="link" onClick={() => void attempt(() => chat.regenerate())}>
            Answer again
          </Button>
        )}
      </div>
    </div>
  );
}
