/** Every panel by keyboard alone: Tab reaches all that can be worked, in sight, with an outline that stands out. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { openComfyUI } from "./comfyui_page.mjs";

const workflow = (name) => new URL(`../../../workflows/${name}.json`, import.meta.url).pathname;
/** WCAG 2.2, 1.4.11: of the outline to what it lies on. */
const LEAST = 3;
/** At which all of a node is on the screen. */
const SCALE = 0.6;
const MOST_STOPS = 60;
const PANELS = [
  ["first_run", "EADNet_Speak"],
  ["emotional_talking_head", "EADNet_EmotionPrompt"],
  ["emotional_talking_head", "EADNet_Face"],
  ["step_05_emotions_over_time", "EADNet_EmotionTrack"],
  ["step_09_pose_a_still", "EADNet_ExpressionEditor"],
];
let comfyui, page;

before(async () => {
  comfyui = await openComfyUI();
  ({ page } = comfyui);
});

after(async () => {
  if (comfyui) await comfyui.palette("dark");
  await comfyui?.close();
});

/** Marks what Tab should reach in the panels of a node, focuses the first, and returns what each is. */
const stops = (type) =>
  page.evaluate((type) => {
    const [node] = window.app.canvas.graph.findNodesByType(type);
    const roots = node.widgets.map((w) => w.element).filter((e) => e?.classList?.contains("eadnet") && e.getClientRects().length);
    const isStop = (e) => e.tabIndex >= 0 && !e.disabled && e.getClientRects().length && !e.closest("[inert]") && getComputedStyle(e).visibility === "visible";
    const found = roots.flatMap((root) => [...root.querySelectorAll("*")]).filter(isStop);
    found[0]?.focus();
    return found.map((e, i) => (e.dataset.stop = `${i} ${e.getAttribute("aria-label") || e.title || e.textContent.trim()}`));
  }, type);

/** What has the keyboard's focus: its mark, the contrast of its outline, and whether it is seen; null outside of panels. */
const focused = () =>
  page.evaluate(() => {
    const e = document.activeElement;
    if (!e.closest(".eadnet")) return null;
    const brush = Object.assign(document.createElement("canvas"), { width: 1, height: 1 }).getContext("2d", { willReadFrequently: true });
    const luminance = (color) => {
      brush.fillStyle = color;
      brush.fillRect(0, 0, 1, 1);
      const linear = [...brush.getImageData(0, 0, 1, 1).data].slice(0, 3).map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
      return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
    };
    const { outlineStyle, outlineWidth, outlineColor, boxShadow } = getComputedStyle(e);
    const around = e.closest(".eadnet-sheet") ? boxShadow.match(/^rgb\([^)]*\)/)?.[0] : getComputedStyle(e.closest(".eadnet")).backgroundColor;
    const [ink, ground] = [luminance(outlineColor), luminance(around ?? outlineColor)]; // on a picture the outline brings a ground of its own
    const isOutlined = outlineStyle !== "none" && parseFloat(outlineWidth) >= 1;
    const { left, top, width, height } = e.getBoundingClientRect();
    const over = document.elementFromPoint(left + width / 2, top + height / 2);
    const isSeen = Boolean(over && (e.contains(over) || over.contains(e) || over.closest("label")?.contains(e) || over.parentElement === e.parentElement));
    return { stop: e.dataset.stop ?? `${e.className} ${e.title}`, contrast: isOutlined ? (Math.max(ink, ground) + 0.05) / (Math.min(ink, ground) + 0.05) : 0, isSeen };
  });

async function openPanel(file, type) {
  await comfyui.open(workflow(file));
  await comfyui.show(type, SCALE);
  await page.waitForTimeout(1500);
  if (type !== "EADNet_EmotionTrack") return;
  await page.getByRole("button", { name: "∿" }).press("Enter"); // a focus that follows a click has no outline
  await page.locator('[data-lane="yaw"]').waitFor();
  await comfyui.show(type, SCALE);
}

for (const name of ["dark", "light"]) {
  for (const [file, type] of PANELS) {
    test(`${type}: Tab reaches everything, and its focus is seen in the palette '${name}'`, async (t) => {
      await comfyui.palette(name);
      await openPanel(file, type);
      const layout = await comfyui.layout();
      const wanted = await stops(type);
      const reached = [];
      for (let at = await focused(); at && reached.length < MOST_STOPS; at = await focused()) {
        reached.push(at);
        await page.keyboard.press("Tab"); // a keyframe that gets the focus shows the handle of its fade, one stop more
      }
      const names = reached.map(({ stop }) => stop);
      t.diagnostic(`${names.length} stops`);
      assert.ok(wanted.length > 0);
      assert.deepEqual(wanted.filter((stop) => !names.includes(stop)), [], "not reached");
      const poor = reached.filter(({ contrast, isSeen }) => contrast < LEAST || !isSeen);
      assert.deepEqual(poor.map(({ stop, contrast, isSeen }) => `${stop}: outline ${contrast.toFixed(1)}, ${isSeen ? "seen" : "covered"}`), []);
      assert.deepEqual(await comfyui.layout(), layout);
    });
  }
}

test("the page has nothing to complain about", () => assert.deepEqual(comfyui.complaints, []));
