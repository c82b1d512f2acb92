/** The entries of choices, and the names of the emotions, in the languages of the pack. Files and requests keep the English. */

const CHOICES = {
  zh: {
    "after the speaker before": "在前一位说话人之后",
    "at start_s": "在 start_s",
    "from text": "按文字",
    angry: "愤怒",
    any: "任意",
    audio: "声音",
    auto: "自动",
    base: "base",
    blend: "混合",
    bounce: "往返",
    clip: "片段",
    contempt: "轻蔑",
    cut: "截断",
    disgusted: "厌恶",
    face: "脸部",
    fear: "恐惧",
    fixed: "固定",
    happy: "快乐",
    head: "头部",
    hold: "保持",
    landmarks: "关键点",
    local_text: "本地文本模型",
    local_vision: "本地视觉模型",
    locked: "锁定",
    loop: "循环",
    mouth: "嘴部",
    moving: "随动",
    neutral: "中性",
    openai: "OpenAI 兼容服务",
    pass_through: "原样通过",
    person: "人",
    rules: "规则",
    sad: "悲伤",
    shortest: "最短",
    silence: "静音",
    stop: "停止",
    surprised: "惊讶",
    transparent: "透明",
    video: "视频",
  },
};

/** What a choice is called in a locale such as "zh-TW"; itself where the pack has no word for it. */
export function choiceIn(locale) {
  const known = CHOICES[String(locale).split("-")[0]];
  return (choice) => known?.[choice] ?? choice;
}

/** Shows the entries of a node's choices by other names. */
export function nameChoices(node, said) {
  for (const widget of node.widgets ?? []) {
    if (Array.isArray(widget.options?.values)) widget.options.getOptionLabel ??= said;
  }
}
