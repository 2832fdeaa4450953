import { ThreadPrimitive } from "@assistant-ui/react";
import type { ReactNode } from "react";
import { useChatState } from "../parts/ChatContext";
import { AnswerAnnouncer } from "./AnswerAnnouncer";
import { Composer } from "./Composer";
import { ComposerPlace } from "./ComposerPlace";
import { ConversationRuntime } from "./ConversationRuntime";
import styles from "./conversation.module.css";
import { Messages } from "./Messages";

interface ConversationProps {
  readonly hidden: boolean;
  /** What stands between the messages and the composer. */
  readonly notices: ReactNode;
}

/** The open conversation: what was said, and where one types. */
export function Conversation({ hidden, notices }: ConversationProps): ReactNode {
  const key = useChatState((state) => state.open.key);
  return (
    <div className={styles.conversation} hidden={hidden}>
      <ConversationRuntime key={key}>
        <ComposerPlace>
          <ThreadPrimitive.Root className={styles.thread}>
            <Messages />
            {notices}
            <Composer />
          </ThreadPrimitive.Root>
          <AnswerAnnouncer />
        </ComposerPlace>
      </ConversationRuntime>
    </div>
  );
}
