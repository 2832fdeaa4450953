import { type ReactNode, useState } from "react";
import type { PanelProps } from "../dock/panelProps";
import { ChatProvider } from "../parts/ChatContext";
import { Panel } from "./Panel";
import { startChat } from "./startChat";

/** The whole chat: its modules, and the picture of them. This is what the first click fetches. */
export function ChatPanel({ open, takesFocus, settings, onClose }: PanelProps): ReactNode {
  const [chat] = useState(() => startChat(settings));
  return (
    <ChatProvider value={chat}>
      <Panel open={open} takesFocus={takesFocus} onClose={onClose} />
    </ChatProvider>
  );
}
