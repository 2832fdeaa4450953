import { render } from "@testing-library/react";
import { Panel } from "../../src/widget/panel/Panel";
import { ChatProvider } from "../../src/widget/parts/ChatContext";
import type { FakeChat } from "./fakeChat";
import { fillGaps } from "./jsdomGaps";

export function drawPanel(chat: FakeChat, onClose: () => void = () => {}) {
  fillGaps();
  return render(
    <ChatProvider value={chat}>
      <Panel open takesFocus onClose={onClose} />
    </ChatProvider>,
  );
}
