import { type ReactNode, useEffect, useRef, useState } from "react";
import type { AssistantEntry } from "../../chat/contract";
import { useChatState } from "../parts/ChatContext";
import styles from "./conversation.module.css";

/** Has screen readers say that an answer is being written, and then the answer, once and whole. */
export function AnswerAnnouncer(): ReactNode {
  const answering = useChatState((state) => state.open.answering);
  const last = useChatState((state) => state.open.entries.at(-1));
  const [spoken, setSpoken] = useState("");
  const wasAnswering = useRef(answering);
  useEffect(() => {
    if (wasAnswering.current === answering) return;
    wasAnswering.current = answering;
    if (answering) setSpoken("The assistant is answering");
    else if (last?.kind === "assistant") setSpoken(`Assistant: ${plain(last)}`);
  }, [answering, last]);
  return (
    <p className={styles.spoken} aria-live="polite">
      {spoken}
    </p>
  );
}

function plain({ parts }: AssistantEntry): string {
  return parts
    .map(({ text }) => text)
    .join("\n")
    .replace(/[*_`#>]+/g, "");
}
