/** App mode, where the page has it: every workflow is a form of its inputs beside what came of it, and no widget is lost there. */

import assert from "node:assert/strict";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { after, before, test } from "node:test";
import { SLIDERS } from "../../../web/js/expression_values.js";
import { openComfyUI, setSetting } from "./comfyui_page.mjs";

const FOLDER = new URL("../../../workflows/", import.meta.url);
const NAMES = readdirSync(FOLDER).filter((name) => name.endsWith(".json")).map((name) => name.slice(0, -5));
const FIRST_WITH_FORMS = [1, 41];
const CONTROL = "input, textarea, select, button:not([data-testid=widget-actions-menu]), [role=slider], [data-panel] canvas";
let comfyui, page, isOlder;

before(async () => {
  await setSetting("Comfy.OnboardingCoachmarks.Seen", ["appMode", "firstRun"]); // else a tour lies over the form
  comfyui = await openComfyUI();
  ({ page } = comfyui);
  const [major, minor] = (await page.evaluate(() => window.__COMFYUI_FRONTEND_VERSION__)).split(".").map(Number);
  isOlder = major === FIRST_WITH_FORMS[0] && minor < FIRST_WITH_FORMS[1] && `frontend ${major}.${minor} has no app mode`;
});

after(() => comfyui?.close());

const read = (name) => JSON.parse(readFileSync(new URL(`${name}.json`, FOLDER), "utf8"));
const form = () => page.getByTestId("app-mode-widget-item");
const toggle = () => page.evaluate(() => window.app.extensionManager.command.execute("Comfy.ToggleLinear"));
const prompt = async (type) => Object.values((await page.evaluate(() => window.app.graphToPrompt())).output).find((n) => n.class_type === type).inputs;

async function openApp(path) {
  await comfyui.open(path);
  const isActive = (name) => window.app.extensionManager.workflow.activeWorkflow?.filename.startsWith(name);
  await page.waitForFunction(isActive, basename(path, ".json")); // until then the mode is that of the workflow before
  await toggle();
  await form().first().waitFor();
}

/** Types a number into an input of the form. */
async function write(index, value) {
  const field = form().nth(index).locator("input");
  await field.fill(value);
  await field.press("Enter");
}

/** A workflow with other inputs in its form, as a file. */
function withForm(name, inputs) {
  const workflow = read(name);
  workflow.extra.linearData.inputs = inputs;
  const path = join(process.env.SHOTS, `${name}_form.json`);
  writeFileSync(path, JSON.stringify(workflow));
  return path;
}

for (const name of NAMES) {
  test(`${name}: the form has every input that the workflow names, each with something to work it by`, async (t) => {
    if (isOlder) return t.skip(isOlder);
    const { nodes, extra } = read(name);
    await openApp(new URL(`${name}.json`, FOLDER).pathname);
    const wanted = extra.linearData.inputs.map(([id, widget]) => nodes.find((n) => n.id === id).inputs.find((port) => port.widget?.name === widget)?.label);
    const labels = await form().getByTestId("builder-widget-label").allInnerTexts();
    assert.equal(labels.length, wanted.length);
    for (const [i, label] of wanted.entries()) if (label) assert.equal(labels[i], label);
    for (const [i, label] of labels.entries()) assert.ok(await form().nth(i).locator(CONTROL).filter({ visible: true }).count(), `nothing to work '${label}' by`);
    await comfyui.shot(`app_${name}`);
    await toggle();
  });
}

test("words are written, Run is pressed, and the video is seen", async (t) => {
  if (isOlder) return t.skip(isOlder);
  await openApp(new URL("first_run.json", FOLDER).pathname);
  await form().locator("textarea").fill("trying not to laugh");
  const { event, detail } = await comfyui.run();
  assert.equal(event, "execution_success", JSON.stringify(detail));
  assert.equal((await prompt("EADNet_Speak")).text, "trying not to laugh");
  const size = await page.waitForFunction(() => {
    const video = [...document.querySelectorAll("video")].find((v) => v.checkVisibility() && v.videoWidth);
    return video && [video.videoWidth, video.videoHeight];
  });
  assert.deepEqual(await size.jsonValue(), [512, 512]);
  await comfyui.shot("app_ran");
  await toggle();
});

test("the track's JSON is a text to write in", async (t) => {
  if (isOlder) return t.skip(isOlder);
  await openApp(withForm("step_05_emotions_over_time", [[6, "keyframes"]]));
  await form().locator("textarea").fill('[{"time": 0, "text": "furious"}]');
  assert.equal((await prompt("EADNet_EmotionTrack")).keyframes, '[{"time": 0, "text": "furious"}]');
  await toggle();
  await comfyui.show("EADNet_EmotionTrack", 0.8);
  assert.ok(!(await comfyui.fields("EADNet_EmotionTrack")).includes("keyframes"), "the graph shows the JSON beside its editor");
});

test("the expression editor's sliders are plain sliders", async (t) => {
  if (isOlder) return t.skip(isOlder);
  await openApp(withForm("step_09_pose_a_still", SLIDERS.map((slider) => [3, slider])));
  assert.equal(await form().count(), SLIDERS.length);
  const happy = form().nth(SLIDERS.indexOf("happy")).getByRole("slider");
  await happy.focus();
  await happy.press("Home");
  assert.equal((await prompt("EADNet_ExpressionEditor")).happy, 0);
  await comfyui.shot("app_sliders");
  await toggle();
});

test("the pad's point is two numbers and a switch, and New take's seed is a number", async (t) => {
  if (isOlder) return t.skip(isOlder);
  await openApp(withForm("emotional_talking_head", [[6, "valence"], [6, "arousal"], [6, "use_pad"]]));
  await write(0, "-0.5");
  await form().getByRole("switch").click();
  const { valence, arousal, use_pad } = await prompt("EADNet_EmotionPrompt");
  assert.deepEqual([valence, arousal, use_pad], [-0.5, 0, true]);
  await toggle();
  await openApp(withForm("first_run", [[3, "seed"]]));
  await write(0, "7");
  assert.equal((await prompt("EADNet_Speak")).seed, 7);
  await toggle();
});

test("a panel that was in the form is in its node again", async (t) => {
  if (isOlder) return t.skip(isOlder);
  await openApp(new URL("step_09_pose_a_still.json", FOLDER).pathname);
  const panel = page.locator("[data-panel=expression]");
  assert.equal(await form().locator(panel).count(), 1);
  await toggle();
  await comfyui.show("EADNet_ExpressionEditor", 0.6);
  assert.ok(await panel.isVisible());
  assert.ok(await panel.evaluate((element) => !element.closest("[data-testid=app-mode-widget-item]")));
});

test("the page has nothing to complain about", () => assert.deepEqual(comfyui.complaints, []));
