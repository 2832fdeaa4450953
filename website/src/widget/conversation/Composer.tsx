import { ComposerPrimitive, useThreadViewport } from "@assistant-ui/react";
import type { ReactNode } from "react";
import { useAnnouncements } from "../parts/Announcer";
import { useChat, useChatState } from "../parts/ChatContext";
import { Icon } from "../parts/Icon";
import { IconButton } from "../parts/IconButton";
import { useComposerPlace } from "./ComposerPlace";
import styles from "./conversation.module.css";
import { useDraft } from "./useDraft";

/** Where one types. Enter sends, Shift+Enter begins a line; sending stays possible while an answer is written. */
export function Composer(): ReactNode {
  useDraft();
  const place = useComposerPlace();
  const closed = useChatState((state) => state.open.closed);
  const mayChat = useChatState(({ person }) => person.kind !== "visitor" || person.mayChat);
  const scrollToBottom = useThreadViewport((viewport) => viewport.scrollToBottom);
  const sent = () => {
    scrollToBottom({ behavior: "instant" });
    // The button that was pressed has nothing to send any more, and cannot keep the focus.
    place.current?.focus();
  };
  if (!mayChat) return null;
  if (closed !== null) return <p className={styles.closed}>{closed}</p>;
  return (
    <ComposerPrimitive.Root className={styles.composer} onSubmit={sent}>
      <ComposerPrimitive.Input
        ref={place}
        className={styles.input}
        aria-label="Message"
        placeholder="Write a message"
        minRows={1}
        maxRows={8}
        enterKeyHint="send"
        addAttachmentOnPaste={false}
      />
      <StopButton />
      <ComposerPrimitive.Send
        onClick={sent}
        className={styles.send}
        aria-label="Send message"
        title="Send message"
      >
        <Icon name="send" />
      </ComposerPrimitive.Send>
    </ComposerPrimitive.Root>
  );
}

function StopButton(): ReactNode {
  const chat = useChat();
  const { attempt } = useAnnouncements();
  const answering = useChatState((state) => state.open.answering);
  if (!answering) return null;
  return <IconButton icon="stop" label="Stop" onClick={() => void attempt(() => chat.stop())} />;
}
