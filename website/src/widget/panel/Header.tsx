import type { ReactNode } from "react";
import { useChat, useChatState } from "../parts/ChatContext";
import { IconButton } from "../parts/IconButton";
import styles from "./panel.module.css";
import type { View } from "./views";

interface HeaderProps {
  readonly view: View;
  readonly onView: (view: View) => void;
  readonly onClose: () => void;
}

export function Header({ view, onView, onClose }: HeaderProps): ReactNode {
  const chat = useChat();
  const openTitle = useChatState((state) => state.open.title);
  const titles: Record<View, string> = {
    conversation: openTitle ?? "New conversation",
    threads: "Conversations",
    "sign-in": "Sign-in",
  };
  return (
    <header className={styles.header}>
      <IconButton
        icon={view === "conversation" ? "list" : "back"}
        label={view === "conversation" ? "Conversations" : "Back to the conversation"}
        aria-expanded={view !== "conversation"}
        onClick={() => onView(view === "conversation" ? "threads" : "conversation")}
      />
      <h2 className={styles.title} title={titles[view]}>
        {titles[view]}
      </h2>
      <IconButton
        icon="newChat"
        label="New chat"
        onClick={() => {
          chat.newThread();
          onView("conversation");
        }}
      />
      <IconButton icon="close" label="Close chat" onClick={onClose} />
    </header>
  );
}
