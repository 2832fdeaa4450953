import { useAui } from "@assistant-ui/react";
import type { ReactNode } from "react";
import type { UserEntry, WaitingDelivery } from "../../chat/contract";
import { useComposerPlace } from "../conversation/ComposerPlace";
import { addToDraft } from "../conversation/drafts";
import { useAnnouncements } from "../parts/Announcer";
import { Button } from "../parts/Button";
import { useChat } from "../parts/ChatContext";
import { Icon } from "../parts/Icon";
import { messageTime, untilTime } from "../parts/times";
import { useNow } from "../parts/useNow";
import styles from "./messages.module.css";

/** How far a message of the person got, and what they can do about it. */
export function DeliveryLine({ entry }: { readonly entry: UserEntry }): ReactNode {
  const { delivery } = entry;
  switch (delivery.state) {
    case "sent":
      return (
        <p className={styles.delivery}>
          {messageTime(entry.createdAt)} <Icon name="check" size={14} /> Sent
        </p>
      );
    case "sending":
      return <p className={styles.delivery}>Sending…</p>;
    case "waiting":
      return <Waiting delivery={delivery} entryKey={entry.key} />;
    case "refused":
      return (
        <div className={styles.refused}>
          <p role="alert">
            <Icon name="alert" size={16} /> Not sent: {delivery.problem.message}
          </p>
          <TakeBack entryKey={entry.key} />
        </div>
      );
  }
}

interface WaitingProps {
  readonly delivery: WaitingDelivery;
  readonly entryKey: string;
}

function Waiting({ delivery, entryKey }: WaitingProps): ReactNode {
  const chat = useChat();
  const { nextTryAt, problem, mayHaveArrived } = delivery;
  const now = useNow(nextTryAt !== null);
  return (
    <div className={styles.waiting}>
      <p>
        <Icon name="clock" size={14} /> Waiting
        {waitingFor(delivery, now)}
        {problem && <span className={styles.why}> {problem.message}</span>}
      </p>
      <div className={styles.choices}>
        <Button look="link" onClick={() => chat.retry()}>
          Retry
        </Button>
        {!mayHaveArrived && <TakeBack entryKey={entryKey} />}
      </div>
    </div>
  );
}

function waitingFor({ nextTryAt, problem }: WaitingDelivery, now: number): string {
  if (nextTryAt !== null) return `, next try ${untilTime(nextTryAt, now)}`;
  return problem === null ? " for its turn" : ".";
}

function TakeBack({ entryKey }: { readonly entryKey: string }): ReactNode {
  const chat = useChat();
  const { composer } = useAui();
  const place = useComposerPlace();
  const { attempt } = useAnnouncements();
  const edit = async () => {
    await attempt(async () => addToDraft(composer, await chat.takeBack(entryKey)));
    place.current?.focus();
  };
  const discard = async () => {
    await attempt(() => chat.takeBack(entryKey), "Message discarded");
    place.current?.focus();
  };
  return (
    <span className={styles.choices}>
      <Button look="link" onClick={edit}>
        Edit
      </Button>
      <Button look="link" onClick={discard}>
        Discard
      </Button>
    </span>
  );
}
