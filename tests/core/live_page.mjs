// The page of `eadnet live` in a real Chromium whose microphone plays a file. Prints what was seen as JSON.
import { createServer } from "node:http";
import { createRequire } from "node:module";

const { chromium } = createRequire(process.env.PLAYWRIGHT)("playwright-core");
const { ADDRESS, CHROMIUM, SERVER, SPEECH, SHOTS, SAVED } = process.env;
const seen = {};

const browser = await chromium.launch({
  executablePath: CHROMIUM,
  args: [
    "--no-sandbox",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    `--use-file-for-fake-audio-capture=${SPEECH}`,
  ],
});
const context = await browser.newContext({ permissions: ["microphone"] });
const page = await context.newPage();
seen.errors = [];
page.on("pageerror", (error) => seen.errors.push(error.message));
page.on("console", (message) => message.type() === "error" && seen.errors.push(message.text()));

const text = (id) => page.evaluate((name) => document.getElementById(name).textContent, id);
const shown = async () => Number(await text("shown"));
async function until(what, ms = 60000) {
  const end = Date.now() + ms;
  while (Date.now() < end) {
    if (await what()) return true;
    await page.waitForTimeout(50);
  }
  return false;
}
/** Mean absolute change of the canvas since `remember`, in levels: of the whole, and of its lower half. */
const remember = () =>
  page.evaluate(() => {
    const face = document.getElementById("face");
    const { data } = face.getContext("2d").getImageData(0, 0, face.width, face.height);
    window.remembered = data;
  });
const changed = () =>
  page.evaluate(() => {
    const face = document.getElementById("face");
    const { data } = face.getContext("2d").getImageData(0, 0, face.width, face.height);
    const mean = (from) => {
      let sum = 0;
      for (let i = from; i < data.length; i += 1) sum += Math.abs(data[i] - window.remembered[i]);
      return sum / (data.length - from);
    };
    return { whole: mean(0), lower: mean(data.length / 2) };
  });

/** Notes when each picture is drawn beside when it is due, and when each sound is played, on the clock of the sound. */
const watch = () =>
  page.evaluate(async (address) => {
    const { Player } = await import(`${address}player.js`);
    const { add } = Player.prototype;
    const { drawImage } = CanvasRenderingContext2D.prototype;
    const { start } = AudioBufferSourceNode.prototype;
    const due = new WeakMap();
    const noted = { pictures: [], sounds: [] };
    window.noted = noted;
    Player.prototype.add = async function (chunk) {
      const result = await add.call(this, chunk);
      for (const { bitmap, at } of this.pictures) due.set(bitmap, { at, player: this });
      return result;
    };
    CanvasRenderingContext2D.prototype.drawImage = function (picture, ...place) {
      const { at, player } = due.get(picture) ?? {};
      if (player?.isRunning) noted.pictures.push({ at, drawn: player.audio.currentTime - player.lag() });
      return drawImage.call(this, picture, ...place);
    };
    AudioBufferSourceNode.prototype.start = function (when) {
      noted.sounds.push({ when, now: this.context.currentTime });
      return start.call(this, when);
    };
  }, ADDRESS);

await page.goto(ADDRESS);
await watch();
seen.lives = await until(async () => (await shown()) >= 10);
await remember();
const idleFrom = await shown();
await until(async () => (await shown()) >= idleFrom + 5);
seen.idle = await changed();

const asked = Date.now();
await page.fill("#words", "furious, about to shout");
await page.press("#words", "Enter");
await until(async () => (await changed()).whole > 1.0, 20000);
seen.feelingMs = Date.now() - asked;
seen.feeling = await changed();
seen.on = await text("on");
seen.makingMs = parseInt(await text("making"), 10);

const point = page.getByRole("slider");
const place = () => point.getAttribute("aria-valuetext");
seen.placeOfWords = await place();
await page.click('[data-emotion="happy"]');
await until(async () => (await text("on")).includes("by the pad"));
seen.clicked = { place: await place(), on: await text("on") };
await point.focus();
await page.keyboard.press("ArrowLeft");
await page.keyboard.press("Shift+ArrowUp");
seen.keyed = await place();
seen.outline = await point.evaluate((e) => getComputedStyle(e).outlineStyle);
const box = await page.locator(".eadnet-pad").boundingBox();
await page.mouse.move(box.x + box.width * 0.75, box.y + box.height * 0.75);
await page.mouse.down();
for (let i = 0; i < 100; i += 1) await page.mouse.move(box.x + (box.width * (100 - i)) / 200, box.y + 12 + (i % 7));
await page.mouse.up();
seen.dragged = await place();
await page.click('[data-emotion="sad"]');
await until(async () => (await text("on")).startsWith("Now sad"));
seen.onAfterDrag = await text("on");

await page.click("#record");
await until(async () => (await page.getAttribute("#record", "aria-pressed")) === "true");
await page.waitForTimeout(1000); // the feeling has faded in
await remember();
await page.click("#microphone");
seen.speaking = { lower: 0 };
await until(async () => {
  const now = await changed();
  if (now.lower > seen.speaking.lower) seen.speaking = now;
  return now.lower > 2.0;
});
seen.latency = await text("latency");
await page.waitForTimeout(4000);
await page.click("#microphone");
await page.click("#record");
await page.waitForSelector("#recordings a");
const [download] = await Promise.all([page.waitForEvent("download"), page.click("#recordings a")]);
await download.saveAs(SAVED);
seen.noted = await page.evaluate(() => window.noted);

seen.canSay = await page.isEnabled("#text");
if (seen.canSay) {
  await page.fill("#text", "So this is where you live.");
  await page.press("#text", "Enter");
  await page.waitForSelector("#hush:not([hidden])");
  seen.saying = await text("said");
  await remember();
  seen.said = { lower: 0 };
  await until(async () => {
    const now = await changed();
    if (now.lower > seen.said.lower) seen.said = now;
    return (await text("said")).startsWith("Spoken by");
  });
}
seen.problem = await text("problem");
for (const [name, colorScheme, width] of [["light", "light", 1100], ["dark", "dark", 1100], ["narrow", "light", 380]]) {
  await page.emulateMedia({ colorScheme });
  await page.setViewportSize({ width, height: 960 });
  seen[`overflow-${name}`] = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  await page.screenshot({ path: `${SHOTS}/${name}.png`, fullPage: true });
}

// A second listener, a third, who is told, and a page that floods: the first is not disturbed.
const shownOn = (other) => other.evaluate(() => Number(document.getElementById("shown").textContent));
const second = await context.newPage();
await second.goto(ADDRESS);
seen.secondLives = await until(async () => (await shownOn(second)) >= 5);
const third = await context.newPage();
await third.goto(ADDRESS);
await third.waitForFunction(() => document.getElementById("problem").textContent !== "");
seen.third = await third.evaluate(() => document.getElementById("problem").textContent);
await third.close();
const cdp = await context.newCDPSession(second);
const crashed = second.waitForEvent("crash");
cdp.send("Page.crash").catch(() => {}); // nobody is left to answer it
await crashed;
seen.flood = await page.evaluate(
  (address) =>
    new Promise((done) => {
      const socket = new WebSocket(`${address.replace("http", "ws")}talk`);
      socket.onopen = () => {
        for (let i = 0; i < 8; i += 1) socket.send(new ArrayBuffer(32000));
      };
      socket.onclose = ({ code }) => done(code);
    }),
  ADDRESS,
);
const undisturbed = await shown();
seen.undisturbed = await until(async () => (await shown()) > undisturbed + 5);

const before = await shown();
await page.reload();
seen.reloaded = await until(async () => (await shown()) >= 1);
seen.beforeReload = before;

// A page of another origin that knows the address, token and all.
const stranger = createServer((_, answer) => answer.setHeader("content-type", "text/html").end("<p>stranger")).listen(0, "127.0.0.1");
await new Promise((done) => stranger.once("listening", done));
const other = await context.newPage();
await other.goto(`http://127.0.0.1:${stranger.address().port}/`);
seen.stranger = await other.evaluate(async (address) => {
  const socket = await new Promise((done) => {
    const tried = new WebSocket(`${address.replace("http", "ws")}talk`);
    tried.onopen = () => done("open");
    tried.onerror = () => done("refused");
  });
  const read = await fetch(`${address}portrait.jpg`).then((answer) => `status ${answer.status}`, () => "refused");
  return { socket, read };
}, ADDRESS);
stranger.close();

process.kill(Number(SERVER), "SIGKILL");
await page.waitForFunction(() => document.getElementById("problem").textContent !== "");
seen.dropped = await text("problem");
await browser.close();
console.log(JSON.stringify(seen));
