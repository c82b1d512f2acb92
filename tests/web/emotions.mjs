/** The eight emotions as GET /eadnet/emotions hands them out, with the values of eadnet_core/taxonomy.py. */
export const EMOTIONS = [
  { name: "neutral", valence: 0, arousal: 0 },
  { name: "happy", valence: 0.85, arousal: 0.5 },
  { name: "sad", valence: -0.75, arousal: -0.5 },
  { name: "angry", valence: -0.65, arousal: 0.75 },
  { name: "fear", valence: -0.7, arousal: 0.65 },
  { name: "disgusted", valence: -0.75, arousal: 0.2 },
  { name: "surprised", valence: 0.15, arousal: 0.85 },
  { name: "contempt", valence: -0.45, arousal: -0.1 },
];
