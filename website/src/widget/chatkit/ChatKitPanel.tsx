import { type ReactNode, useEffect, useRef, useState } from "react";
import type { PanelProps } from "../dock/panelProps";
import panel from "../panel/panel.module.css";
import { useCoveredPage, usePhone } from "../panel/usePhone";
import { Button } from "../parts/Button";
import { IconButton } from "../parts/IconButton";
import type { ChatKitSettings } from "../settings";
import styles from "./chatkit.module.css";
import { findOwnServer, type OwnServer } from "./ownServer";
import { VendorChat } from "./VendorChat";
import { loadVendorScript } from "./vendorScript";

/** The panel with the vendor's component in it (`ui: "chatkit"`). Its script is fetched when the panel is first opened. */
export function ChatKitPanel({ open, takesFocus, settings, onClose }: PanelProps): ReactNode {
  const { chatkit } = settings;
  const phone = usePhone();
  const close = useRef<HTMLButtonElement>(null);
  useCoveredPage(open && phone);
  useEffect(() => {
    if (open && takesFocus) close.current?.focus();
  }, [open, takesFocus]);
  return (
    <section
      className={panel.panel}
      role="dialog"
      aria-label="Chat"
      aria-modal={phone}
      hidden={!open}
      onKeyDown={(event) => event.key === "Escape" && onClose()}
    >
      <header className={panel.header}>
        <h2 className={panel.title}>Chat</h2>
        <IconButton ref={close} icon="close" label="Close chat" onClick={onClose} />
      </header>
      {chatkit && <Prepared base={settings.server} chatkit={chatkit} />}
    </section>
  );
}

function Prepared({
  base,
  chatkit,
}: {
  readonly base: string;
  readonly chatkit: ChatKitSettings;
}): ReactNode {
  const [server, setServer] = useState<OwnServer | null>(null);
  const [failed, setFailed] = useState(false);
  useEffect(() => {
    if (failed) return;
    Promise.all([findOwnServer(base), loadVendorScript(chatkit.script)]).then(
      ([found]) => setServer(found),
      () => setFailed(true),
    );
  }, [base, chatkit, failed]);
  if (server) return <VendorChat server={server} domainKey={chatkit.domainKey} />;
  if (!failed) return <p className={styles.state}>Loading…</p>;
  return (
    <div className={styles.state} role="alert">
      <p>The chat could not be loaded.</p>
      <Button onClick={() => setFailed(false)}>Try again</Button>
    </div>
  );
}
