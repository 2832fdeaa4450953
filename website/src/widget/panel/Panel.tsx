import { type KeyboardEvent, type ReactNode, useRef, useState } from "react";
import { AccountBar } from "../account/AccountBar";
import { SignIn } from "../account/SignIn";
import { Conversation } from "../conversation/Conversation";
import { Announcer } from "../parts/Announcer";
import { useChatState } from "../parts/ChatContext";
import { ThreadList } from "../threads/ThreadList";
import { Header } from "./Header";
import { ConnectionBanner, KeepingNotice } from "./Notices";
import styles from "./panel.module.css";
import { useFocusInside } from "./useFocusInside";
import { useCoveredPage, usePhone } from "./usePhone";
import type { View } from "./views";

interface PanelFrameProps {
  readonly open: boolean;
  readonly takesFocus: boolean;
  readonly onClose: () => void;
}

/** The panel's frame: one of three views, under a header. The conversation stays there when another is shown. */
export function Panel({ open, takesFocus, onClose }: PanelFrameProps): ReactNode {
  const [view, setView] = useState<View>("conversation");
  const person = useChatState((state) => state.person);
  const panel = useRef<HTMLElement>(null);
  const phone = usePhone();
  useCoveredPage(open && phone);

  useFocusInside(panel, { open, wanted: takesFocus, view, phone });

  const onEscape = (event: KeyboardEvent) => {
    const inDialog = event.target instanceof Element && event.target.closest("dialog") !== null;
    if (event.key !== "Escape" || event.nativeEvent.isComposing || inDialog) return;
    if (view === "conversation") onClose();
    else setView("conversation");
  };
  const toConversation = () => setView("conversation");
  const toSignIn = () => setView("sign-in");

  return (
    <section
      ref={panel}
      className={styles.panel}
      role="dialog"
      aria-label="Chat"
      aria-modal={phone}
      hidden={!open}
      onKeyDown={onEscape}
    >
      <Announcer>
        <Header view={view} onView={setView} onClose={onClose} />
        <ConnectionBanner />
        <Conversation hidden={view !== "conversation"} notices={<KeepingNotice onSignIn={toSignIn} />} />
        {view === "threads" && (
          <>
            {/* A question about one person's conversation is none for the next. */}
            <ThreadList key={person.kind === "account" ? person.id : person.kind} onOpened={toConversation} />
            <AccountBar onSignIn={toSignIn} />
          </>
        )}
        {view === "sign-in" && person.kind !== "unknown" && (
          <SignIn ways={person.ways} onDone={toConversation} />
        )}
      </Announcer>
    </section>
  );
}
