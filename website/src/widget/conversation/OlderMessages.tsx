import { type ReactNode, type RefObject, useEffect, useRef } from "react";
import { useAnnouncements } from "../parts/Announcer";
import { Button } from "../parts/Button";
import { useChat, useChatState } from "../parts/ChatContext";
import styles from "./conversation.module.css";

/** Loads what was said before when its place comes near the view; by the button, too. */
export function OlderMessages({ viewport }: { readonly viewport: RefObject<HTMLElement | null> }): ReactNode {
  const chat = useChat();
  const { attempt } = useAnnouncements();
  const hasOlder = useChatState((state) => state.open.hasOlder);
  const loading = useChatState((state) => state.open.loadingOlder);
  const firstKey = useChatState((state) => state.open.entries[0]?.key);
  const place = useRef<HTMLDivElement>(null);

  // Watched anew after each page: if the place is still near the view then, the next one is fetched.
  // biome-ignore lint/correctness/useExhaustiveDependencies: firstKey is what tells one page from the next
  useEffect(() => {
    if (!hasOlder || loading || place.current === null) return;
    const near = new IntersectionObserver(
      (seen) => {
        if (seen.some((entry) => entry.isIntersecting)) void attempt(() => chat.loadOlder());
      },
      { root: viewport.current, rootMargin: "800px 0px 0px 0px" },
    );
    near.observe(place.current);
    return () => near.disconnect();
  }, [chat, attempt, hasOlder, loading, firstKey, viewport]);

  if (!hasOlder) return null;
  return (
    <div ref={place} className={styles.older}>
      <Button look="link" disabled={loading} onClick={() => void attempt(() => chat.loadOlder())}>
        {loading ? "Loading…" : "Older messages"}
      </Button>
    </div>
  );
}
