import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { paced } from "../../eadnet_core/live/page/paced.js";

test("the first value goes at once, and of those that follow the last, at the pace", () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  const sent = [];
  const say = paced(250, (value) => sent.push(value));
  for (let i = 0; i < 100; i += 1) {
    say(i);
    mock.timers.tick(10);
  }
  mock.timers.tick(1000);
  assert.deepEqual(sent, [0, 24, 49, 74, 99]);
  say("later");
  assert.equal(sent.at(-1), "later");
  mock.timers.reset();
});
