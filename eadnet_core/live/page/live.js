// The page of `eadnet live`: words and sound go out, pictures and sound come in.
import { Feeling } from "./feeling.js";
import { Player } from "./player.js";
import { SayBox } from "./say_box.js";
import { atSpeed, decode, fromMicrophone } from "./sound.js";
import { parseChunk, toPcm } from "./wire.js";

const $ = (id) => document.getElementById(id);
const socket = new WebSocket(new URL("talk", location.href.replace(/^http/, "ws")));
socket.binaryType = "arraybuffer";
const feeling = new Feeling({ form: $("feeling"), place: $("pad"), line: $("on") }, ask);
const sayBox = new SayBox({ form: $("say"), line: $("said") }, ask, () => begin(isListening()));

let player = null;
let rateHz = 16000;
let stopSound = null;
let last = Promise.resolve();
let hasChosenToHear = false;

function say(problem) {
  $("problem").textContent = problem;
}

function ask(request) {
  if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(request));
}

function send(samples) {
  if (socket.readyState === WebSocket.OPEN) socket.send(toPcm(samples));
}

async function hello(said) {
  rateHz = said.sample_rate_hz;
  feeling.setEmotions(said.emotions);
  feeling.show(said.on);
  sayBox.setTts(said.tts);
  const portrait = await createImageBitmap(await (await fetch("portrait.jpg")).blob());
  player = new Player($("face"), said, portrait);
}

async function show(buffer) {
  const chunk = parseChunk(buffer);
  const wait = await player.add(chunk);
  const { behind_ms: behind, made_ms: made, dropped_ms: dropped, every } = chunk.header;
  $("latency").textContent = `${Math.round(behind + 1000 * wait)} ms`;
  $("making").textContent = `${made} ms`;
  $("pace").textContent = player.hello.fps / every;
  $("dropped").textContent = dropped ? `${(dropped / 1000).toFixed(1)} s: this machine is too slow` : "none";
  $("shown").textContent = player.shown;
}

function answer(said) {
  if (said.hello) last = last.then(() => hello(said.hello));
  if (said.error) say(said.error);
  if (said.on) feeling.show(said.on);
  if (said.saying !== undefined) sayBox.show(said.saying);
  if (said.recording !== undefined) $("record").setAttribute("aria-pressed", said.recording);
  if (said.file) {
    const link = document.createElement("a");
    link.href = `recordings/${said.file}`;
    link.download = said.file;
    link.textContent = `${said.file}, ${said.seconds.toFixed(1)} s`;
    const item = document.createElement("li");
    item.append(link);
    $("recordings").append(item);
  }
}

socket.onmessage = ({ data }) => {
  if (typeof data === "string") answer(JSON.parse(data));
  else last = last.then(() => show(data)).catch((error) => say(`This browser cannot show the picture: ${error.message}`));
};
socket.onclose = ({ code, reason }) => {
  stop();
  say(code === 4009 ? "Somebody else talks with this portrait. Close the other page, or start with --sessions 2." : `The talk is over${reason ? `: ${reason}` : ""}. Reload the page to begin again.`);
};

/** A click: sound may be played. A microphone would hear it again, unless somebody wants it played. */
function begin(isMicrophone) {
  say("");
  if (!hasChosenToHear) $("hear").checked = !isMicrophone;
  player?.begin($("hear").checked);
}

function isListening() {
  return $("microphone").getAttribute("aria-pressed") === "true";
}

function stop() {
  if (stopSound) stopSound();
  stopSound = null;
  $("microphone").setAttribute("aria-pressed", "false");
}

$("microphone").onclick = async () => {
  const isOn = isListening();
  stop();
  if (isOn) return;
  begin(true);
  try {
    stopSound = await fromMicrophone(rateHz, send);
    $("microphone").setAttribute("aria-pressed", "true");
  } catch (error) {
    say(`The microphone cannot be heard (${error.message}). Allow it for this page, or choose a sound file.`);
  }
};
$("file").onclick = () => $("chosen").click();
$("chosen").onchange = async () => {
  const [file] = $("chosen").files;
  $("chosen").value = "";
  if (!file) return;
  stop();
  begin(false);
  try {
    stopSound = atSpeed(await decode(file, rateHz), rateHz, send, stop);
  } catch (error) {
    say(`'${file.name}' cannot be played by this browser (${error.message}). Try a WAV or MP3 file.`);
  }
};
$("hear").onchange = () => {
  hasChosenToHear = true;
  player?.hear($("hear").checked);
};
$("record").onclick = () => ask({ record: $("record").getAttribute("aria-pressed") !== "true" });
