/** What the pack adds to ComfyUI's page: a widget for each node that has one. The graph works without any of them. */

import { showCachedVideos } from "./cached_video.js";
import { choiceIn, nameChoices } from "./choices.js";
import { COMMANDS, KEYBINDINGS, MENU } from "./commands.js";
import { keepFields } from "./dynamic_choice.js";
import { addEmotionPad } from "./emotion_pad.js";
import { addTrackEditor } from "./emotion_track.js";
import { addExpressionEditor } from "./expression_editor.js";
import { SLIDERS } from "./expression_values.js";
import { addFaceBox } from "./face_box.js";
import { widgetOf } from "./graph_walk.js";
import { app, setting } from "./host.js";
import { sendWords, showLiveRuns } from "./live_run.js";
import { addNewTake } from "./new_take.js";
import { translateNotes } from "./notes.js";
import { SETTING, addPreview } from "./preview.js";
import { PREVIEWED } from "./preview_request.js";
import { bringSamples } from "./samples.js";
import { colorSockets } from "./socket_colors.js";
import { showTextOutput } from "./text_output.js";
import { languageOf, wordsFor } from "./words.js";

/** Nodes that show a video of their own: without the hint Nodes 2.0 takes it for a picture, and shows nothing. */
const SHOW_VIDEO = ["EADNet_Speak", "EADNet_RenderVideo", "EADNet_Conversation"];

/** Nodes with a box to draw, and the inputs that its picture may come in by. */
const CLIP = ["video", "images"];
const BOXED = { EADNet_Face: ["image"], EADNet_MotionFromVideo: CLIP, EADNet_StyleFromVideo: CLIP };

const has = (node, ...names) => names.every((name) => widgetOf(node, name));

app.registerExtension({
  name: "EADNet",
  settings: [
    {
      id: SETTING,
      name: "Instant preview in the Emotion Prompt and Speak nodes",
      tooltip: "Shows the face while you type, computed on the server without queueing the graph.",
      category: ["EAD-Net", "Preview", "Instant preview"],
      type: "boolean",
      defaultValue: true,
    },
  ],
  commands: COMMANDS,
  keybindings: KEYBINDINGS,
  menuCommands: MENU,
  setup() {
    showCachedVideos();
    colorSockets();
    showLiveRuns();
  },
  afterConfigureGraph() {
    const graph = app.rootGraph ?? app.graph;
    bringSamples(graph);
    const language = languageOf(setting("Comfy.Locale"));
    if (language !== "en") translateNotes(graph, language);
  },
  nodeCreated(node) {
    const id = node.comfyClass ?? "";
    if (!id.startsWith("EADNet_")) return;
    if (SHOW_VIDEO.includes(id)) node.previewMediaType = "video";
    const locale = setting("Comfy.Locale");
    const words = { ...wordsFor(locale), choice: choiceIn(locale) };
    nameChoices(node, words.choice);
    if (id === "EADNet_EmotionTrack" && has(node, "keyframes", "cross_fade")) addTrackEditor(node, words);
    const hasPad = id === "EADNet_EmotionPrompt" && has(node, "text", "valence", "arousal", "use_pad");
    const pad = hasPad ? addEmotionPad(node, words) : null;
    if (id === "EADNet_ExpressionEditor" && has(node, ...SLIDERS)) addExpressionEditor(node, words);
    if (BOXED[id] && has(node, "box")) addFaceBox(node, words, BOXED[id]);
    if (id === "EADNet_Speak" && has(node, "seed")) addNewTake(node, words);
    if (PREVIEWED.includes(id)) {
      addPreview(node, words, { onRead: (read) => pad?.showRead(read) });
      sendWords(node);
    }
    keepFields(node);
    showTextOutput(node, words);
  },
});
