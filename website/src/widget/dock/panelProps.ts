import type { ChatSettings } from "../settings";

/** What the bubble tells the panel that it opens. */
export interface PanelProps {
  readonly open: boolean;
  /** The person opened it; it was not just left open on the page before. */
  readonly takesFocus: boolean;
  readonly settings: ChatSettings;
  readonly onClose: () => void;
}
