// The page of `eadnet live` in a real Chromium whose microphone plays a file. Prints what was seen as JSON.
import { createServer } from "node:http";
import { createRequire } from "node:module";

const { chromium } = createRequire(process.env.PLAYWRIGHT)("playwright-core");
const { ADDRESS, CHROMIUM, SPEECH, SHOT, SAVED } = process.env;
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

await page.goto(ADDRESS);
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
seen.read = await text("read");
seen.makingMs = parseInt(await text("making"), 10);

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
await page.waitForTimeout(3000);
await page.screenshot({ path: SHOT });
await page.click("#microphone");
await page.click("#record");
await page.waitForSelector("#recordings a");
const [download] = await Promise.all([page.waitForEvent("download"), page.click("#recordings a")]);
await download.saveAs(SAVED);
seen.problem = await text("problem");

const second = await context.newPage();
await second.goto(ADDRESS);
await second.waitForFunction(() => document.getElementById("problem").textContent !== "");
seen.second = await second.evaluate(() => document.getElementById("problem").textContent);
await second.close();

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
await browser.close();
console.log(JSON.stringify(seen));
