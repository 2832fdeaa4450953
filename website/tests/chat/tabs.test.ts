import { expect, test } from "vitest";
import { browser } from "../../src/chat/environment";
import { Tabs } from "../../src/chat/tabs";

test("what ends after the tab let go is told to nobody, and breaks nothing", () => {
  const tabs = new Tabs<string>(browser(), "closed", () => {});
  tabs.tell("before");
  tabs.close();
  tabs.close();
  expect(() => tabs.tell("after")).not.toThrow();
});
