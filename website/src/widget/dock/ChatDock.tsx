import { type ReactNode, useCallback, useEffect, useRef, useState } from "react";
import { createPortal } from "react-dom";
import { OrElse } from "../parts/OrElse";
import type { ChatSettings } from "../settings";
import { ChatBubble } from "./ChatBubble";
import styles from "./dock.module.css";
import { rememberOpen, wasOpen } from "./openState";
import { usePanelCode } from "./usePanelCode";

/** The bubble, and the panel once it was opened. The panel is hidden, not taken away, so that an answer in it goes on. */
export function ChatDock({ settings }: { readonly settings: ChatSettings }): ReactNode {
  const [open, setOpen] = useState(wasOpen);
  const [clicked, setClicked] = useState(false);
  const { Panel, failed } = usePanelCode(open, settings);
  const bubble = useRef<HTMLButtonElement>(null);
  const close = useCallback(() => {
    setOpen(false);
    // The bubble is drawn again in the same turn, and can take the focus in the next.
    requestAnimationFrame(() => bubble.current?.focus());
  }, []);
  useEffect(() => rememberOpen(open), [open]);
  useEffect(() => {
    if (failed) setOpen(false);
  }, [failed]);

  return createPortal(
    <aside className={styles.dock} aria-label="Chat">
      <OrElse instead={open && <Broken />}>
        {Panel && <Panel open={open} takesFocus={clicked} settings={settings} onClose={close} />}
      </OrElse>
      <ChatBubble
        ref={bubble}
        hidden={open && Panel !== null}
        loading={open && Panel === null}
        failed={failed}
        onOpen={() => {
          setClicked(true);
          setOpen(true);
        }}
      />
    </aside>,
    document.body,
  );
}

function Broken(): ReactNode {
  return (
    <p className={styles.failed} role="alert">
      The chat is out of order. Please reload this page; what was sent is kept.
    </p>
  );
}
