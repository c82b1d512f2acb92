/** ComfyUI's page in a headless Chromium, worked as a user works it: files opened, widgets typed into, handles dragged. */

import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { chromium } from "playwright-core";

const { COMFYUI_URL, RENDERER, SHOTS, CHROMIUM } = process.env;
const LIMIT_MS = 180_000;
/** A run that says nothing of its end fails its test, and not all that come after it. */
const RUN_LIMIT_MS = 600_000;
const FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"];
const MORE_FLAGS = ["--disable-component-update", "--disable-sync", "--autoplay-policy=no-user-gesture-required"];
/** The machine of a test has no internet, and a favicon that is not there is nobody's fault. */
const OFFLINE = /ERR_NAME_NOT_RESOLVED|ERR_INTERNET_DISCONNECTED|404 \(Not Found\)|https:\/\/huggingface\.co/;
/** What the page says of itself, with any pack or none. */
const OF_THE_HOST = /Missing Link ID when unpacking|graph accessed before initialization|cleanup event listeners for graph that was never set up/;
/** Of what the page itself still uses. */
const HOST_DEPRECATES = /legacy queue\/history menu|\[MaskEditor\]/;
const isDeprecation = (text) => /deprecat/i.test(text) && !HOST_DEPRECATES.test(text);
const isHarmless = (text) => OFFLINE.test(text) || OF_THE_HOST.test(text);
/** A picture that a newer one overtakes is refused, as a busy machine shows. */
const isOvertaken = (m) => m.text().includes("409 (Conflict)") && m.location().url.includes("/eadnet/");

/** Opens the page with the renderer that RENDERER names, "classic" or "nodes2". */
export async function openComfyUI() {
  await setSetting("Comfy.TutorialCompleted", true); // else the templates cover the canvas
  await setSetting("Comfy.VueNodes.Enabled", RENDERER === "nodes2");
  await setSetting("Comfy.Minimap.Visible", false);
  const browser = await chromium.launch({ executablePath: CHROMIUM, args: [...FLAGS, ...MORE_FLAGS] });
  const page = await browser.newPage({ viewport: { width: 1600, height: 1000 } });
  page.setDefaultTimeout(LIMIT_MS);
  const complaints = [];
  page.on("pageerror", (error) => complaints.push(error.stack ?? error.message));
  page.on("console", (m) => m.type() === "error" && !isHarmless(m.text()) && !isOvertaken(m) && complaints.push(m.text()));
  const deprecated = [];
  page.on("console", (m) => m.type() === "warning" && isDeprecation(m.text()) && deprecated.push(m.text()));
  await page.goto(COMFYUI_URL);
  await page.waitForFunction(() => window.app?.canvas?.graph && window.app.extensionManager?.setting);
  await page.waitForFunction(() => window.app.extensions.some((e) => e.name === "EADNet"));
  await page.waitForTimeout(2500); // the page opens its last workflow by itself
  return new ComfyUI(browser, page, complaints, deprecated);
}

export async function setSetting(id, value) {
  const headers = { "Content-Type": "application/json" };
  await fetch(`${COMFYUI_URL}/api/settings/${id}`, { method: "POST", headers, body: JSON.stringify(value) });
}

class ComfyUI {
  constructor(browser, page, complaints, deprecated) {
    Object.assign(this, { browser, page, complaints, deprecated });
  }

  close() {
    return this.browser.close();
  }

  /** Opens a workflow file through ComfyUI's own dialog, and shows all of it. */
  async open(path) {
    const nodes = JSON.parse(await readFile(path, "utf8")).nodes.length;
    await (await this.#fileDialog()).setFiles(path);
    await this.page.waitForFunction((n) => window.app.graph.nodes.length === n, nodes);
    await this.page.waitForTimeout(500);
  }

  /**
   * ComfyUI's dialog for files; a page that is still starting does not hear its shortcut, so it is pressed again.
   * A note keeps all keys to itself while its text has the focus, and so does 0.8's dialog of an error until it is closed.
   */
  async #fileDialog() {
    await this.page.evaluate(() => document.activeElement?.blur());
    const patience = { timeout: 5000 };
    for (let left = LIMIT_MS / patience.timeout; ; left--) {
      if (await this.page.getByRole("dialog").filter({ visible: true }).count()) await this.page.keyboard.press("Escape");
      const chosen = this.page.waitForEvent("filechooser", patience);
      await this.page.keyboard.press("Control+o");
      try {
        return await chosen;
      } catch (error) {
        if (left <= 1) throw error;
      }
    }
  }

  /** Turns to ComfyUI's palette of a name, "dark" or "light". */
  async palette(name) {
    await this.page.evaluate((name) => window.app.extensionManager.setting.set("Comfy.ColorPalette", name), name);
    await this.page.waitForTimeout(1200);
  }

  /** Centres the canvas on the first node of a type, so large that its widgets can be worked. */
  async show(type, scale = 1) {
    await this.page.evaluate(
      ([type, scale]) => {
        const { app } = window;
        const [node] = app.canvas.graph.findNodesByType(type);
        const { width, height } = app.canvas.canvas.getBoundingClientRect();
        app.canvas.ds.scale = scale;
        const [x, y] = [node.pos[0] + node.size[0] / 2, node.pos[1] + node.size[1] / 2];
        app.canvas.ds.offset = [width / 2 / scale - x, height / 2 / scale - y];
        app.canvas.setDirty(true, true);
      },
      [type, scale],
    );
    await this.page.waitForTimeout(600);
  }

  /** A widget's value in the first node of a type. */
  value(type, name) {
    return this.page.evaluate(
      ([type, name]) => window.app.canvas.graph.findNodesByType(type)[0].widgets.find((w) => w.name === name).value,
      [type, name],
    );
  }

  /** Labels of the widgets that are drawn in the first node of a type, from top to bottom. */
  fields(type) {
    return this.page.evaluate(
      ([type, isNodes2]) => {
        const [node] = window.app.canvas.graph.findNodesByType(type);
        if (!isNodes2) return node.widgets.filter((w) => node.isWidgetVisible(w)).map((w) => w.label ?? w.name);
        const rows = document.querySelectorAll(`[data-testid="node-body-${node.id}"] [node-id]`);
        return [...rows].map((row) => row.querySelector("label, :scope > div").textContent.trim());
      },
      [type, RENDERER === "nodes2"],
    );
  }

  /** Takes an entry of a choice in the first node of a type, by its menu. */
  async choose(type, name, entry) {
    if (RENDERER === "nodes2") {
      await (await this.#element(type)).getByRole("combobox", { name, exact: true }).click();
      await this.page.getByRole("option", { name: entry, exact: true }).click();
    } else {
      await this.#press(type, name);
      await this.page.locator(".litecontextmenu .litemenu-entry").filter({ hasText: new RegExp(`^${entry}$`) }).click();
    }
    await this.page.waitForTimeout(400);
  }

  /** Types a number or a line of text into a widget of the first node of a type. */
  async type(type, name, value) {
    if (RENDERER === "nodes2") await (await this.#field(type, name)).click({ force: true }); // what a drag changes lies over it
    else await this.#openPrompt(type, name);
    await this.page.keyboard.press("Control+a");
    await this.page.keyboard.type(value);
    await this.page.keyboard.press("Enter");
    await this.page.waitForTimeout(400);
  }

  /** What the first node of a type says of its run. */
  async text(type) {
    const id = await this.#id(type);
    const panel = await this.page.waitForFunction(
      (id) => window.app.canvas.graph.getNodeById(id).widgets.find((w) => w.name === "text_output")?.element.querySelector("pre"),
      id,
    );
    assert.ok(await panel.isVisible(), "the node's text is not shown");
    return panel.innerText();
  }

  #id(type) {
    return this.page.evaluate((type) => window.app.canvas.graph.findNodesByType(type)[0].id, type);
  }

  /** The element of the first node of a type, in Nodes 2.0. */
  async #element(type) {
    return this.page.locator(`[data-node-id="${await this.#id(type)}"]`);
  }

  /** The input of a widget in the first node of a type, in Nodes 2.0; a number of 0.33's has no name but the text of its row. */
  async #field(type, name) {
    const node = await this.#element(type);
    const label = await this.page.evaluate(
      ([type, name]) => {
        const widget = window.app.canvas.graph.findNodesByType(type)[0].widgets.find((w) => w.name === name);
        return widget.label ?? widget.name;
      },
      [type, name],
    );
    const row = node.locator("[node-id]").filter({ has: this.page.getByText(label, { exact: true }) });
    return node.locator(`input[aria-label="${name}"]`).or(row.locator("input")).first();
  }

  /** Opens the canvas's prompt for a widget's value, by one click: a second one would fall on the prompt and close it. */
  async #openPrompt(type, name) {
    const prompt = this.page.locator(".graphdialog input");
    for (let tries = 0; tries < 5; tries++) {
      await this.#press(type, name);
      if (await prompt.waitFor({ timeout: 2000 }).then(() => true, () => false)) return;
    }
    assert.fail(`no prompt opens for ${name}`);
  }

  /** Clicks a widget of the first node of a type on the canvas. */
  async #press(type, name) {
    const { x, y } = await this.page.evaluate(
      ([type, name]) => {
        const { canvas } = window.app;
        const [node] = window.app.canvas.graph.findNodesByType(type);
        const { y } = node.widgets.find((w) => w.name === name);
        const [left, top] = canvas.ds.convertOffsetToCanvas([node.pos[0] + node.size[0] / 2, node.pos[1] + y + 10]);
        const box = canvas.canvas.getBoundingClientRect();
        return { x: box.left + left, y: box.top + top };
      },
      [type, name],
    );
    await this.page.mouse.click(x, y, { delay: 30 });
  }

  /** "type x y" of every node, in whole pixels: what a key that slips through to the canvas would change. 0.8 rounds some by itself. */
  layout() {
    return this.page.evaluate(() => window.app.graph.nodes.map((n) => [n.type, ...[...n.pos].map(Math.round)].join(" ")).sort());
  }

  /** Every link of the graph, "node slot > node input". */
  links() {
    return this.page.evaluate(() => {
      const { graph } = window.app;
      const to = (link) => `${link.target_id} ${graph.getNodeById(link.target_id)?.inputs[link.target_slot]?.name}`;
      return [...graph.links.values()].map((link) => `${link.origin_id} ${link.origin_slot} > ${to(link)}`).sort();
    });
  }

  /** Lets the server forget what it has computed: a node that does not run again says nothing again. */
  async forget() {
    await fetch(`${COMFYUI_URL}/free`, { method: "POST", body: JSON.stringify({ free_memory: true }) });
    await this.page.waitForTimeout(500);
  }

  /** Runs a command of the page on the nodes with these ids, as its menu or shortcut would. */
  async command(id, ids = []) {
    await this.page.evaluate(
      async ([id, ids]) => {
        const { app } = window;
        app.canvas.deselectAll();
        app.canvas.selectItems(ids.map((n) => app.canvas.graph.getNodeById(n)));
        await app.extensionManager.command.execute(id);
      },
      [id, ids],
    );
    await this.page.waitForTimeout(700);
  }

  /** The graph as the page would save it, opened anew from a file. */
  async saveAndOpen(name) {
    const { workflow } = await this.page.evaluate(() => window.app.graphToPrompt());
    const path = join(SHOTS, `${name}.json`);
    await writeFile(path, JSON.stringify(workflow));
    await this.open(path);
  }

  /** Shows the whole graph. */
  async fit() {
    await this.page.evaluate(() => window.app.extensionManager.command.execute("Comfy.Canvas.FitView"));
    await this.page.waitForTimeout(1500);
  }

  /** Pairs of nodes of which one lies over the other, as they are drawn. */
  overlaps() {
    return this.page.evaluate((isNodes2) => {
      const { scale } = window.app.canvas.ds;
      const drawn = ({ id, boundingRect: [x, y, w, h] }) => {
        if (!isNodes2) return { left: x, top: y, right: x + w, bottom: y + h };
        const box = document.querySelector(`[data-node-id="${id}"]`).getBoundingClientRect();
        return Object.fromEntries(["left", "top", "right", "bottom"].map((side) => [side, box[side] / scale]));
      };
      const boxes = window.app.graph.nodes.map((n) => ({ name: `${n.id} ${n.type}`, ...drawn(n) }));
      const isOver = (a, b) => a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1;
      return boxes.flatMap((a, i) => boxes.slice(i + 1).filter((b) => isOver(a, b)).map((b) => `${a.name} / ${b.name}`));
    }, RENDERER === "nodes2");
  }

  /** [width, height] of the video that a node shows, when it has loaded. */
  async videoIn(id) {
    const video = await this.page.waitForFunction(
      ([id, isNodes2]) => {
        const shown = isNodes2 ? document.querySelector(`[data-node-id="${id}"]`) : window.app.canvas.graph.getNodeById(id).videoContainer;
        const found = shown?.querySelector("video:not(.eadnet-live)"); // not the one that grew
        return found?.isConnected && found.videoWidth ? [found.videoWidth, found.videoHeight] : null;
      },
      [id, RENDERER === "nodes2"],
    );
    return video.jsonValue();
  }

  /** The file of the video that a node shows. */
  videoFile(id) {
    return this.page.evaluate(
      ([id, isNodes2]) => {
        const shown = isNodes2 ? document.querySelector(`[data-node-id="${id}"]`) : window.app.canvas.graph.getNodeById(id).videoContainer;
        return new URL(shown.querySelector("video:not(.eadnet-live)").currentSrc).searchParams.get("filename");
      },
      [id, RENDERER === "nodes2"],
    );
  }

  /** The videos that can be seen in a node, from top to bottom, each "growing" or "own". */
  videosIn(id) {
    return this.page.evaluate(
      ([id, isNodes2]) => {
        const { widgets } = window.app.canvas.graph.getNodeById(id);
        const shown = isNodes2 ? [document.querySelector(`[data-node-id="${id}"]`)] : widgets.flatMap((w) => w.element ?? []);
        const videos = shown.flatMap((element) => [...element.querySelectorAll("video")]).filter((v) => v.checkVisibility());
        return videos.map((v) => (v.classList.contains("eadnet-live") ? "growing" : "own"));
      },
      [id, RENDERER === "nodes2"],
    );
  }

  /** How far the video of a node sticks out of it, in pixels of the graph. */
  spill(id) {
    return this.page.evaluate(
      ([id, isNodes2]) => {
        const { canvas } = window.app;
        const node = canvas.graph.getNodeById(id);
        const element = isNodes2 ? document.querySelector(`[data-node-id="${id}"]`) : null;
        const video = (element ?? node.videoContainer).querySelector("video").getBoundingClientRect();
        const [left, top] = canvas.ds.convertOffsetToCanvas(node.pos);
        const page = canvas.canvas.getBoundingClientRect();
        const size = [...node.size].map((v) => v * canvas.ds.scale);
        const own = { left: page.left + left, top: page.top + top, right: page.left + left + size[0], bottom: page.top + top + size[1] };
        const box = element?.getBoundingClientRect() ?? own;
        const out = [box.left - video.left, box.top - video.top, video.right - box.right, video.bottom - box.bottom];
        return Math.max(0, ...out) / canvas.ds.scale;
      },
      [id, RENDERER === "nodes2"],
    );
  }

  /** Presses Run and waits for the end. Returns {event, seconds, detail}. */
  async run() {
    const ended = this.page.evaluate((limit_ms) => {
      const began = performance.now();
      return new Promise((done) => {
        setTimeout(() => done({ event: "no end", seconds: limit_ms / 1000 }), limit_ms);
        for (const event of ["execution_success", "execution_error", "execution_interrupted"]) {
          const tell = (e) => done({ event, seconds: (performance.now() - began) / 1000, detail: e.detail });
          window.app.api.addEventListener(event, tell, { once: true });
        }
      });
    }, RUN_LIMIT_MS);
    await this.page.getByTestId("queue-button").or(this.page.getByRole("button", { name: "Run", exact: true })).filter({ visible: true }).first().click();
    return ended;
  }

  /** Drags from the middle of an element by pixels of the screen. */
  async drag(locator, dx, dy) {
    const { x, y, width, height } = await locator.boundingBox();
    const { mouse } = this.page;
    await mouse.move(x + width / 2, y + height / 2);
    await mouse.down();
    await mouse.move(x + width / 2 + dx / 2, y + height / 2 + dy / 2, { steps: 4 });
    await mouse.move(x + width / 2 + dx, y + height / 2 + dy, { steps: 4 });
    await mouse.up();
  }

  /** Keeps a screenshot. */
  shot(name) {
    return this.page.screenshot({ path: join(SHOTS, `${name}-${RENDERER}.png`) });
  }
}
