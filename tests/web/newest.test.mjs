import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { Live, Newest, oneAtATime } from "../../web/js/newest.js";

const settle = () => new Promise((done) => setImmediate(done));

/** A Newest whose runs are finished by hand: runs[i] is {request, signal, resolve, reject}. */
function harness() {
  const seen = { runs: [], results: [], errors: [], starts: [] };
  const run = (request, signal) => {
    const { promise, resolve, reject } = Promise.withResolvers?.() ?? withResolvers();
    seen.runs.push({ request, signal, resolve, reject });
    return promise;
  };
  const newest = new Newest({
    delay_ms: 200,
    run,
    onStart: (request) => seen.starts.push(request),
    onResult: (result) => seen.results.push(result),
    onError: (error) => seen.errors.push(error.message),
  });
  return { newest, ...seen };
}

function withResolvers() {
  const made = {};
  made.promise = new Promise((resolve, reject) => Object.assign(made, { resolve, reject }));
  return made;
}

test("typing asks once, after the pause", (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { newest, runs } = harness();
  for (const text of ["h", "ha", "hap"]) {
    newest.ask({ text });
    t.mock.timers.tick(150);
  }
  assert.equal(runs.length, 0);
  t.mock.timers.tick(50);
  assert.deepEqual(runs.map((r) => r.request.text), ["hap"]);
});

test("only the newest answer is shown, whichever comes first", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { newest, runs, results } = harness();
  newest.ask("old");
  t.mock.timers.tick(200);
  newest.ask("new");
  t.mock.timers.tick(200);
  assert.ok(runs[0].signal.aborted);
  runs[1].resolve("new face");
  runs[0].resolve("old face");
  await settle();
  assert.deepEqual(results, ["new face"]);
});

test("the same request is not run twice, unless it failed or is forced", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { newest, runs, errors } = harness();
  const ask = (options) => {
    newest.ask({ text: "sad" }, options);
    t.mock.timers.tick(200);
  };
  ask();
  ask();
  assert.equal(runs.length, 1);
  runs[0].reject(new Error("no face in the picture"));
  await settle();
  assert.deepEqual(errors, ["no face in the picture"]);
  ask();
  ask({ force: true });
  assert.equal(runs.length, 3);
});

test("what is cancelled is not heard of again", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { newest, runs, results, errors } = harness();
  newest.ask(1);
  t.mock.timers.tick(200);
  newest.cancel();
  runs[0].reject(new Error("aborted"));
  newest.ask(2);
  newest.cancel();
  t.mock.timers.tick(1000);
  await settle();
  assert.deepEqual([runs.length, results, errors], [1, [], []]);
});

test("the gate lets one task through at a time, in order, and goes on after a failure", async () => {
  const gate = oneAtATime();
  const log = [];
  let running = 0;
  const task = (name, fails) => async () => {
    assert.equal(++running, 1);
    await settle();
    running--;
    log.push(name);
    if (fails) throw new Error(name);
  };
  const first = gate(task("a"));
  const second = gate(task("b", true));
  const third = gate(task("c"));
  await assert.rejects(second, /b/);
  await Promise.all([first, third]);
  assert.deepEqual(log, ["a", "b", "c"]);
});

test("a task that was given up while it waited is never started", async () => {
  const gate = oneAtATime();
  const controller = new AbortController();
  const late = mock.fn();
  const first = gate(settle);
  const second = gate(late, controller.signal);
  controller.abort();
  await assert.rejects(second, { name: "AbortError" });
  await first;
  assert.equal(late.mock.callCount(), 0);
});

/** A Live whose runs are finished by hand. */
function lively() {
  const seen = { runs: [], results: [], errors: [] };
  const run = (request) => {
    const made = withResolvers();
    seen.runs.push({ request, ...made });
    return made.promise;
  };
  const onResult = (result) => seen.results.push(result);
  return { live: new Live({ run, onResult, onError: (error) => seen.errors.push(error.message) }), ...seen };
}

test("a slider that is dragged is followed all the way, one request at a time", async () => {
  const { live, runs, results } = lively();
  for (const value of [1, 2, 3]) live.ask({ value });
  assert.deepEqual(runs.map((r) => r.request.value), [1]);
  runs[0].resolve("one");
  await settle();
  assert.deepEqual(runs.map((r) => r.request.value), [1, 3]);
  runs[1].resolve("three");
  await settle();
  assert.deepEqual(results, ["one", "three"]);
  live.ask({ value: 3 });
  assert.equal(runs.length, 2);
});

test("what failed may be asked again, and what was cancelled is not heard of", async () => {
  const { live, runs, results, errors } = lively();
  live.ask("x");
  runs[0].reject(new Error("no face"));
  await settle();
  assert.deepEqual(errors, ["no face"]);
  live.ask("x");
  live.cancel();
  runs[1].resolve("late");
  await settle();
  assert.deepEqual(results, []);
});
