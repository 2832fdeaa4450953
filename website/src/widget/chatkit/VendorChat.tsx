import { ChatKit, useChatKit } from "@openai/chatkit-react";
import { type ReactNode, useEffect, useRef } from "react";
import styles from "./chatkit.module.css";
import type { OwnServer } from "./ownServer";
import { useColorScheme } from "./useColorScheme";

interface VendorChatProps {
  readonly server: OwnServer;
  readonly domainKey: string;
}

/** The vendor's component on our server. */
export function VendorChat({ server, domainKey }: VendorChatProps): ReactNode {
  const thread = useRef(server.latestThread);
  const answering = useRef(false);
  const behind = useRef(false);
  const colorScheme = useColorScheme();
  const { control, fetchUpdates } = useChatKit({
    api: { url: server.url, domainKey, fetch: server.fetch },
    initialThread: server.latestThread,
    theme: { colorScheme },
    history: { enabled: true, showDelete: true, showRename: true },
    threadItemActions: { feedback: true, retry: true },
    thread: { autoScroll: true },
    onThreadChange: ({ threadId }) => {
      thread.current = threadId;
    },
    onResponseStart: () => {
      answering.current = true;
    },
    onResponseEnd: () => {
      answering.current = false;
      if (behind.current) void update();
    },
  });
  /** Not while an answer is drawn: its own items would be fetched beside the ones that are still growing. */
  const update = async () => {
    behind.current = answering.current;
    if (!answering.current) await fetchUpdates();
  };
  const latest = useRef(update);
  latest.current = update;

  useEffect(
    () =>
      server.follow((changed) => {
        if (changed === null || changed === thread.current) void latest.current();
      }),
    [server],
  );
  return <ChatKit control={control} className={styles.vendor} />;
}
