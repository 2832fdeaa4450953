import type { ReactNode } from "react";
import { useAnnouncements } from "../parts/Announcer";
import { useChat, useChatState } from "../parts/ChatContext";
import styles from "./conversation.module.css";

const EXAMPLES = [
  "How do I deploy this on Neon?",
  "How do I bring my JSON store over?",
  "What happens to a message while the database is down?",
  "Who can see what I write?",
];

/** What a new conversation begins with. */
export function Welcome(): ReactNode {
  const chat = useChat();
  const { attempt } = useAnnouncements();
  const mayChat = useChatState(({ person }) => person.kind !== "visitor" || person.mayChat);
  return (
    <div className={styles.welcome}>
      <h2>What would you like to know?</h2>
      <p>Ask about chatkit-neon and its documentation.</p>
      {mayChat && (
        <ul aria-label="Example questions">
          {EXAMPLES.map((question) => (
            <li key={question}>
              <button type="button" onClick={() => void attempt(() => chat.send(question))}>
                {question}
              </button>
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}
