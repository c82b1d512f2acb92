// Sound that goes to the portrait: from a microphone, or from a file at the speed at which it sounds.

const PIECE = 640;
const AHEAD_S = 0.12;
const TICK_MS = 20;

/** Pieces of 640 samples at `rateHz` from the microphone; returns what stops it. */
export async function fromMicrophone(rateHz, send) {
  const wanted = { channelCount: 1, echoCancellation: true, noiseSuppression: true, autoGainControl: true };
  const stream = await navigator.mediaDevices.getUserMedia({ audio: wanted });
  const audio = new AudioContext({ sampleRate: rateHz });
  const stop = () => {
    stream.getTracks().forEach((track) => track.stop());
    audio.close();
  };
  try {
    await audio.audioWorklet.addModule("pieces.js");
    const source = audio.createMediaStreamSource(stream);
    const pieces = new AudioWorkletNode(audio, "pieces", { numberOfOutputs: 0 });
    pieces.port.onmessage = ({ data }) => send(data);
    source.connect(pieces);
  } catch (error) {
    stop();
    throw error;
  }
  return stop;
}

/** A file's samples at `rateHz`, one channel. */
export async function decode(file, rateHz) {
  const offline = new OfflineAudioContext(1, 1, rateHz);
  const whole = await offline.decodeAudioData(await file.arrayBuffer());
  const mix = new OfflineAudioContext(1, Math.max(1, Math.ceil(whole.duration * rateHz)), rateHz);
  const source = mix.createBufferSource();
  source.buffer = whole;
  source.connect(mix.destination);
  source.start();
  return (await mix.startRendering()).getChannelData(0);
}

/** Send samples as fast as they sound, then call `done`; returns what stops it. */
export function atSpeed(samples, rateHz, send, done) {
  const began = performance.now();
  let sent = 0;
  const timer = setInterval(() => {
    const due = ((performance.now() - began) / 1000 + AHEAD_S) * rateHz;
    while (sent < samples.length && sent < due) {
      send(samples.subarray(sent, sent + PIECE));
      sent += PIECE;
    }
    if (sent >= samples.length) {
      clearInterval(timer);
      done();
    }
  }, TICK_MS);
  return () => clearInterval(timer);
}
