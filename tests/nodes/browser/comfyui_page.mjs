/** ComfyUI's page in a headless Chromium, worked as a user works it: files opened, widgets typed into, handles dragged. */

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { chromium } from "playwright-core";

const { COMFYUI_URL, RENDERER, SHOTS, CHROMIUM } = process.env;
const LIMIT_MS = 60_000;
const FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"];
const MORE_FLAGS = ["--disable-component-update", "--disable-sync", "--autoplay-policy=no-user-gesture-required"];
/** The machine of a test has no internet, and a favicon that is not there is nobody's fault. */
const HARMLESS = /ERR_NAME_NOT_RESOLVED|ERR_INTERNET_DISCONNECTED|404 \(Not Found\)/;

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
  page.on("console", (m) => m.type() === "error" && !HARMLESS.test(m.text()) && complaints.push(m.text()));
  await page.goto(COMFYUI_URL);
  await page.waitForFunction(() => window.app?.graph && window.app.extensionManager?.setting);
  await page.waitForFunction(() => window.app.extensions.some((e) => e.name === "EADNet"));
  await page.waitForTimeout(2500); // the page opens its last workflow by itself
  return new ComfyUI(browser, page, complaints);
}

export async function setSetting(id, value) {
  const headers = { "Content-Type": "application/json" };
  await fetch(`${COMFYUI_URL}/api/settings/${id}`, { method: "POST", headers, body: JSON.stringify(value) });
}

class ComfyUI {
  constructor(browser, page, complaints) {
    Object.assign(this, { browser, page, complaints });
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

  /** ComfyUI's dialog for files; a page that is still starting does not hear its shortcut, so it is pressed again. */
  async #fileDialog() {
    const patience = { timeout: 5000 };
    for (let left = LIMIT_MS / patience.timeout; ; left--) {
      const chosen = this.page.waitForEvent("filechooser", patience);
      await this.page.keyboard.press("Control+o");
      try {
        return await chosen;
      } catch (error) {
        if (left <= 1) throw error;
      }
    }
  }

  /** Centres the canvas on the first node of a type, so large that its widgets can be worked. */
  async show(type, scale = 1) {
    await this.page.evaluate(
      ([type, scale]) => {
        const { app } = window;
        const [node] = app.graph.findNodesByType(type);
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
      ([type, name]) => window.app.graph.findNodesByType(type)[0].widgets.find((w) => w.name === name).value,
      [type, name],
    );
  }

  /** {type: [position, size]} of every node: what a key that slips through to the canvas would change. */
  layout() {
    return this.page.evaluate(() => window.app.graph.nodes.map((n) => [n.type, ...n.pos].join(" ")).sort());
  }

  /** Presses Run and waits for the end. Returns {event, seconds, detail}. */
  async run() {
    const ended = this.page.evaluate(() => {
      const began = performance.now();
      return new Promise((done) => {
        for (const event of ["execution_success", "execution_error", "execution_interrupted"]) {
          const tell = (e) => done({ event, seconds: (performance.now() - began) / 1000, detail: e.detail });
          window.app.api.addEventListener(event, tell, { once: true });
        }
      });
    });
    await this.page.getByTestId("queue-button").or(this.page.getByRole("button", { name: "Run", exact: true })).first().click();
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
