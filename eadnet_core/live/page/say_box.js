// A text that the portrait says: text to speech is the server's.

export class SayBox {
  /** form and line are elements: with the text, its button and one that stops; and for who speaks. `begin` lets sound be played. */
  constructor({ form, line }, ask, begin) {
    const [text, say, stop] = form.elements;
    Object.assign(this, { text, say, stop, line });
    form.onsubmit = (event) => {
      event.preventDefault();
      if (!text.value.trim()) return;
      begin();
      ask({ say: text.value });
    };
    stop.onclick = () => ask({ say: "" });
  }

  /** Who speaks, {name}; or {problem}: why nobody can, and what to do. */
  setTts({ name, problem }) {
    this.who = name ? `Spoken by ${name}.` : problem;
    for (const part of [this.text, this.say]) part.disabled = !name;
    this.show(null);
  }

  /** What is being said; null: nothing. */
  show(said) {
    this.stop.hidden = said === null;
    this.line.textContent = said === null ? this.who : `Saying: ${said}`;
  }
}
