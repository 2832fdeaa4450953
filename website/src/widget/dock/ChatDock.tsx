import { type ReactNode, useCallback, useEffect, useRef, useState } from "react";
import { createPortal } from "react-dom";
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
      {Panel && <Panel open={open} takesFocus={clicked} settings={settings} onClose={close} />}
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
