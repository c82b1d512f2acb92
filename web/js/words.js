/** What the widgets say, in the languages of the pack. */

const WORDS = {
  en: {
    add: "Add a keyframe at the playhead (N)",
    as_words: "as the words ask",
    asleep: "Instant preview is off (Settings > EAD-Net)",
    copied: "Copied",
    copy: "Copy",
    delete: "Delete this keyframe (Delete)",
    editor: "Emotion track: double-click to add a keyframe, drag to move it in time or in intensity",
    intensity: "intensity",
    keyframe: "keyframe",
    linked: "The keyframes come from another node.",
    mend: "Start anew",
    new_take: "New take",
    no_face_yet: "The face appears here.",
    no_keyframes: "Double-click here to set an emotion",
    no_sound: "Connect a Load Audio node to see and hear the voice",
    pad: "Valence and arousal. Arrow keys move the point, with Shift in small steps",
    pad_off: "off: the words decide",
    pad_on: "pad",
    pause: "Pause (Space)",
    play: "Play (Space)",
    playhead: "playhead",
    preview: "instant preview",
    prompt: "what the face feels from here on",
    raw: "Show the keyframes as JSON",
    refresh: "Make the preview again",
    sample: "sample portrait",
    still: "still",
    strip: "1 s",
    strip_hint: "A still, or one second in motion",
    text_unknown: "The words come from another node: queue the graph to see them.",
    unreadable: "The sound cannot be read in the page; the waveform comes with the first run.",
    write_word: "Write:",
    zoom_in: "Zoom in (+)",
    zoom_out: "Zoom out (-)",
    calm: "calm",
    excited: "excited",
    unpleasant: "unpleasant",
    pleasant: "pleasant",
  },
  zh: {
    add: "在播放头处添加关键帧 (N)",
    as_words: "按文字强度",
    asleep: "即时预览已关闭（设置 > EAD-Net）",
    copied: "已复制",
    copy: "复制",
    delete: "删除此关键帧 (Delete)",
    editor: "情绪轨道：双击添加关键帧，拖动以改变时间或强度",
    intensity: "强度",
    keyframe: "关键帧",
    linked: "关键帧来自其他节点。",
    mend: "重新开始",
    new_take: "再来一条",
    no_face_yet: "人脸将显示在这里。",
    no_keyframes: "双击此处设置情绪",
    no_sound: "连接“加载音频”节点以查看和试听语音",
    pad: "效价与唤醒度。方向键移动，按住 Shift 为小步",
    pad_off: "关闭：由文字决定",
    pad_on: "情绪板",
    pause: "暂停（空格）",
    play: "播放（空格）",
    playhead: "播放头",
    preview: "即时预览",
    prompt: "从此处起面部的情绪",
    raw: "以 JSON 显示关键帧",
    refresh: "重新生成预览",
    sample: "示例肖像",
    still: "静帧",
    strip: "1 秒",
    strip_hint: "静帧，或一秒动态",
    text_unknown: "文字来自其他节点：运行工作流后可见。",
    unreadable: "页面无法读取该声音；首次运行后显示波形。",
    write_word: "写入：",
    zoom_in: "放大 (+)",
    zoom_out: "缩小 (-)",
    calm: "平静",
    excited: "激动",
    unpleasant: "不愉快",
    pleasant: "愉快",
  },
};

export const LANGUAGES = Object.keys(WORDS);

/** The language of a locale such as "zh-TW"; English where the pack has none. */
export function languageOf(locale) {
  const [language] = String(locale).split("-");
  return language in WORDS ? language : "en";
}

/** The words of a locale. */
export function wordsFor(locale) {
  return WORDS[languageOf(locale)];
}

/** Every word of a language, for the test that none is missing. */
export function keysOf(language) {
  return Object.keys(WORDS[language]).sort();
}
