import type { ReactNode, Ref } from "react";
import styles from "./dock.module.css";

interface ChatBubbleProps {
  readonly ref: Ref<HTMLButtonElement>;
  readonly hidden: boolean;
  readonly loading: boolean;
  readonly failed: boolean;
  readonly onOpen: () => void;
}

export function ChatBubble({ ref, hidden, loading, failed, onOpen }: ChatBubbleProps): ReactNode {
  return (
    <>
      {failed && (
        <p className={styles.failed} role="alert">
          The chat could not be loaded. Check the network and open it again.
        </p>
      )}
      <button
        ref={ref}
        type="button"
        className={styles.bubble}
        aria-label="Open chat"
        aria-expanded={false}
        aria-busy={loading}
        hidden={hidden}
        onClick={onOpen}
      >
        <svg viewBox="0 0 24 24" width="26" height="26" aria-hidden="true" fill="none" stroke="currentColor">
          <path
            d="M20 11.5a7.5 7.5 0 0 1-7.5 7.5c-1.1 0-2.2-.2-3.1-.7L4 20l1.7-4.9A7.5 7.5 0 1 1 20 11.5Z"
            strokeWidth="1.8"
            strokeLinejoin="round"
          />
        </svg>
      </button>
    </>
  );
}
