/** The pack's widgets in ComfyUI's dark and light palettes: every text can be read, sockets have colours of their own. */

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { openComfyUI } from "./comfyui_page.mjs";

const workflow = (name) => new URL(`../../../workflows/${name}.json`, import.meta.url).pathname;
/** WCAG 2.2, 1.4.3. */
const LEAST = 4.5;
let comfyui, page;

before(async () => {
  comfyui = await openComfyUI();
  ({ page } = comfyui);
});

after(async () => {
  if (comfyui) await comfyui.palette("dark");
  await comfyui?.close();
});

/** Texts of the pack's widgets that are seen, with their contrast to what is painted behind them: [[text, contrast, class]]. */
const texts = () =>
  page.evaluate(() => {
    const brush = Object.assign(document.createElement("canvas"), { width: 1, height: 1 }).getContext("2d", { willReadFrequently: true });
    const paint = (color, alpha = 1) => {
      brush.globalAlpha = alpha;
      brush.fillStyle = color;
      brush.fillRect(0, 0, 1, 1);
    };
    const luminance = () => {
      const linear = [...brush.getImageData(0, 0, 1, 1).data].slice(0, 3).map((v) => (v / 255 <= 0.04045 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4));
      return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
    };
    const contrast = (element) => {
      const chain = [];
      for (let e = element; e; e = e.parentElement) chain.unshift(e);
      paint(window.LiteGraph.NODE_DEFAULT_BGCOLOR);
      const from = chain.findIndex((e) => e.classList.contains("eadnet") || e.dataset.nodeId);
      let opacity = 1;
      for (const e of chain.slice(from)) {
        const style = getComputedStyle(e);
        opacity *= Number(style.opacity);
        paint(style.backgroundColor, opacity);
      }
      const ground = luminance();
      const style = getComputedStyle(element);
      paint(element instanceof SVGElement ? style.fill : style.color, opacity);
      const ink = luminance();
      return (Math.max(ink, ground) + 0.05) / (Math.min(ink, ground) + 0.05);
    };
    const isSaying = (e) => [...e.childNodes].some((n) => n.nodeType === Node.TEXT_NODE && n.textContent.trim()) || e.matches("input[type=text], input[type=number], textarea");
    const isSeen = (e) => e.getClientRects().length && !e.disabled && !e.closest("[inert]") && getComputedStyle(e).visibility === "visible";
    return [...document.querySelectorAll(".eadnet, .eadnet *")]
      .filter((e) => isSaying(e) && isSeen(e))
      .map((e) => [(e.textContent || e.value || "").trim().slice(0, 40), contrast(e), e.getAttribute("class")]);
  });

/** Every node of a type says something, fails in its preview, or presses its buttons. */
const stir = () =>
  page.evaluate(() => {
    for (const node of window.app.graph.nodes.filter((n) => n.type.startsWith("EADNet_"))) {
      node.onExecuted?.({ text: ["a report"], eadnet_about: ["a model\nits licence"] });
      for (const e of node.widgets.flatMap((w) => [...(w.element?.querySelectorAll?.(".eadnet-button[aria-pressed]") ?? [])])) e.setAttribute("aria-pressed", true);
      for (const e of node.widgets.flatMap((w) => [...(w.element?.querySelectorAll?.(".eadnet-details") ?? [])])) e.open = true;
      for (const e of node.widgets.flatMap((w) => [...(w.element?.querySelectorAll?.("[role=status]") ?? [])])) e.classList.add("eadnet-bad"), (e.textContent ||= "an error");
    }
  });

for (const name of ["dark", "light"]) {
  test(`every text is read easily in the palette '${name}'`, async (t) => {
    await comfyui.palette(name);
    for (const [file, type] of [["emotional_talking_head", "EADNet_EmotionPrompt"], ["step_05_emotions_over_time", "EADNet_EmotionTrack"], ["first_run", "EADNet_Speak"]]) {
      await comfyui.open(workflow(file));
      await comfyui.show(type, 0.7);
      await page.waitForTimeout(1500);
      const still = await texts();
      await stir();
      await page.waitForTimeout(600);
      const found = [...still, ...(await texts())];
      assert.ok(found.length > 8, `${file}: ${found.length} texts`);
      await comfyui.shot(`${file}-${name}`);
      const poor = found.filter(([, contrast]) => contrast < LEAST);
      t.diagnostic(`${file}: ${found.length} texts, least contrast ${Math.min(...found.map(([, c]) => c)).toFixed(2)}`);
      assert.deepEqual(poor.map(([text, c, kind]) => `${c.toFixed(2)} ${kind} ${text}`), [], file);
    }
  });

  test(`sockets have colours of their own in the palette '${name}'`, async () => {
    const colors = await page.evaluate(() => {
      const { canvas } = window.app;
      const types = ["EAD_MODEL", "EAD_FACE", "EAD_AUDIO", "EAD_EMOTION", "EAD_LATENTS"];
      const css = getComputedStyle(document.documentElement);
      return types.map((t) => [canvas.default_connection_color_byType[t], canvas.constructor.link_type_colors[t], css.getPropertyValue(`--color-datatype-${t}`).trim()]);
    });
    assert.equal(new Set(colors.map(([c]) => c)).size, 5);
    for (const all of colors) assert.equal(new Set(all).size, 1, all.join());
  });
}

test("nothing that the pack uses is deprecated", () => assert.deepEqual(comfyui.deprecated, []));
test("the page has nothing to complain about", () => assert.deepEqual(comfyui.complaints, []));
