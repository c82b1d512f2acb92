"""Everyday sentences for the training voices: a template grammar for English, fixed lists for other languages.

The splits share neither templates nor slot words (nor, in the other languages, whole sentences), so that a score on
held-out speech is not a score on remembered sentences. What is said is independent of the emotion it is said with.
"""

from __future__ import annotations

import re

import numpy as np

SPLITS = ("train", "heldout")
HELDOUT_SHARE = 0.2
"""Share of the fixed sentences of a language, the last ones of its list, that belong to the held-out split."""

_SLOT = re.compile(r"\{(\w+)\}")

_TRAIN_TEMPLATES = (
    "I think {name} {past} the {thing} {when}.",
    "Do you know where {name} put my {thing}?",
    "We should meet {name} at the {place} {when}.",
    "The {adjective} {animal} is sleeping by the {place}.",
    "Please bring me the {adjective} {thing}, {name}.",
    "My {person} made some {food} {when}.",
    "Have you ever been to the {place} with your {person}?",
    "It was a {adjective} day, so we {past} a {thing}.",
    "{name} told me that the {food} was {adjective}.",
    "I bought {number} {things} at the {place}.",
    "Why is your {person} always so {adjective}?",
    "There were {number} {things} on the table {when}.",
    "Maybe we can have {food} before we go to the {place}.",
    "I will never forget the {animal} that {past} my {thing}.",
    "Would you mind if I borrowed your {thing} {when}?",
    "Look, {name}, the {place} is {adjective} in the morning!",
    "We {past} the {thing}, but nobody noticed.",
    "The {person} of {name} works at the {place}.",
    "You know, {food} is my favourite thing in the whole world.",
    "Give the {animal} some {food}, will you?",
    "Both of them {past} the same {thing} {when}.",
    "How many {things} does a {person} really need?",
    "No, no, I said {number}, not {number}.",
    "Oh, my {thing}! Who {past} my {thing}?",
    "Yes, of course, {name}. We will be there {when}.",
    "It seems that every {animal} loves {food}.",
    "If you see {name}, tell them the {place} is closed.",
    "Her {person} has a {adjective} voice and a {adjective} smile.",
    "First we {past} the {thing}, then we found {number} {things}.",
    "Wow, what a {adjective} {animal}!",
)
_HELDOUT_TEMPLATES = (
    "Nobody believed {name} about the {adjective} {thing}.",
    "Could we try the {food} at that new {place}?",
    "After all these years, the {place} still looks {adjective}.",
    "{name} and the {person} {past} {number} {things}.",
    "Wait, did the {animal} just eat our {food}?",
    "I am sure you have never seen such a {adjective} {animal}.",
    "Somewhere behind the {place} there is a {thing} for you.",
    "Well, {name}, what happened {when}?",
    "Every {person} I know {past} a {thing} like that.",
    "Let us walk home from the {place} {when}.",
)


def _words(text: str) -> list[str]:
    return text.split(", ")


_TRAIN_WORDS = {
    "name": _words(
        "Emma, Bobby, Mary, Peter, Sophie, Frank, Amy, Victor, Paula, Maggie, Thomas, Wendy, Joe, Hannah, "
        "Philip, Zoe, George"
    ),
    "person": _words(
        "mother, father, sister, brother, friend, neighbour, teacher, doctor, boss, uncle, grandma, baby, cousin"
    ),
    "place": _words(
        "river, market, old museum, beach, railway station, big house, park, farm, village, school, "
        "bakery, swimming pool, mountain, garage, office"
    ),
    "thing": _words(
        "book, map, phone, yellow umbrella, camera, window, bottle, paper boat, blue jumper, piano, key, "
        "coffee cup, mirror, photograph, bike, wooden box"
    ),
    "things": _words(
        "apples, books, pens, boxes, shirts, balloons, oranges, chairs, mushrooms, buttons, watches, maps"
    ),
    "food": _words("bread and butter, pizza, vegetable soup, cheese, apple pie, rice, pancakes, fish, ice cream, tea"),
    "animal": _words("puppy, wolf, goat, sheep, monkey, bear, pigeon, whale, mouse, fox, frog, cow"),
    "adjective": _words(
        "beautiful, very small, happy, wonderful, quiet, huge, cheap, warm, strange, awful, bright, "
        "funny, perfect, terrible, smooth, empty, green, heavy"
    ),
    "past": _words(
        "opened, watched, moved, bought, broke, found, painted, forgot, loved, picked up, washed, saved, "
        "noticed, carried, threw away, fixed"
    ),
    "when": _words(
        "yesterday, this morning, before lunch, at five o'clock, on Monday, last summer, tomorrow, "
        "all weekend, after the movie, in February, tonight, again"
    ),
    "number": _words("two, five, a hundred, eleven, fifty, three or four, seven, forty, at least six, twelve"),
}
_HELDOUT_WORDS = {
    "name": _words("Fiona, Martin, Beth, Oliver, Judy, Walter, Pam, Vincent"),
    "person": _words("daughter, nephew, captain, lawyer, visitor, barber"),
    "place": _words("harbour, theatre, football ground, village pub, library, waterfall"),
    "thing": _words("paintbrush, lamp, brown purse, watch, tablecloth, guitar, fishing boat"),
    "things": _words("plums, envelopes, forks, pillows, horses, jewels"),
    "food": _words("mashed potatoes, chocolate, beef stew, yoghurt, fresh bread"),
    "animal": _words("tiger, beaver, penguin, hamster, owl, donkey"),
    "adjective": _words("peaceful, golden, rather boring, famous, humid, shiny, mysterious"),
    "past": _words("repaired, borrowed, wrapped up, followed, described, measured"),
    "when": _words("at midnight, next week, during the match, on Wednesday, a moment ago"),
    "number": _words("nine, thirty, eight, a thousand, fourteen"),
}
_GRAMMAR = {"train": (_TRAIN_TEMPLATES, _TRAIN_WORDS), "heldout": (_HELDOUT_TEMPLATES, _HELDOUT_WORDS)}

_GERMAN = """
Guten Morgen, wie geht es dir heute? | Ich habe gestern ein schönes Buch gelesen. | Wo ist denn mein blauer Mantel?
Wir fahren morgen mit dem Zug nach München. | Das Wetter ist heute wirklich wunderbar. | Bitte mach das Fenster zu.
Meine Mutter kocht die beste Suppe der Welt. | Hast du schon etwas gegessen? | Der Hund schläft unter dem Tisch.
Das glaube ich dir nicht. | Am Wochenende besuchen wir unsere Großeltern. | Kannst du mir bitte helfen?
Im Park blühen jetzt die ersten Blumen. | Er spielt jeden Abend Klavier. | Vielleicht kommt sie später noch vorbei.
Pass auf, die Straße ist glatt! | Ich möchte eine Tasse Kaffee mit Milch. | Warum hast du nicht angerufen?
Die Kinder spielen draußen im Schnee. | Das war ein Film, den ich nie vergesse. | Fünf Äpfel und zwei Birnen, bitte.
Wir müssen leise sein, das Baby schläft. | Der Bus fährt um halb acht ab. | Sie hat mir einen langen Brief geschrieben.
Alles Gute zum Geburtstag! | Mein Bruder wohnt in einem kleinen Dorf am Fluss. | Ich verstehe die Frage nicht.
Zum Frühstück gibt es Brot mit Butter und Honig. | Wie viel kostet das? | Der Schlüssel liegt auf dem Küchentisch.
Gestern haben wir bis Mitternacht getanzt. | Nein, das ist mir völlig egal.
Der Zug hat leider zwanzig Minuten Verspätung.
Was für eine Überraschung! | Unser Nachbar repariert alte Uhren. | Ich freue mich schon auf den Sommer.
Möchtest du lieber Tee oder Wasser? | Im Herbst fallen die bunten Blätter. | Vergiss bitte deinen Regenschirm nicht.
Irgendwann werden wir darüber lachen.
"""
_SPANISH = """
Buenos días, ¿cómo estás hoy? | Ayer compré un libro muy interesante. | ¿Dónde está mi chaqueta verde?
Mañana vamos a la playa con mis primos. | El perro duerme debajo de la mesa. | Por favor, abre la ventana.
Mi madre hace la mejor sopa del mundo. | ¿Has comido algo esta mañana? | No puedo creer lo que dices.
El fin de semana visitamos a los abuelos. | ¿Me puedes ayudar con esto? | Los niños juegan en el jardín.
Hace mucho calor en verano. | Ella toca el piano todas las noches. | Quizás venga más tarde.
¡Cuidado, el suelo está mojado! | Quiero un café con leche, por favor. | ¿Por qué no me llamaste?
Nunca voy a olvidar aquella película. | Cinco manzanas y dos peras. | Tenemos que hablar bajito.
El tren sale a las ocho y media. | Me escribió una carta muy larga. | ¡Feliz cumpleaños, amigo mío!
Mi hermano vive en un pueblo pequeño. | No entiendo la pregunta. | Desayuno pan con mantequilla y miel.
¿Cuánto cuesta este sombrero? | La llave está encima de la mesa. | Anoche bailamos hasta las tres.
La verdad es que me da igual. | Llueve mucho en noviembre. | Mi vecina tiene un gato gordo y viejo.
¡Qué sorpresa tan bonita! | Estoy buscando una farmacia. | El profesor explicó todo otra vez.
¿Prefieres agua o zumo de naranja? | Se me olvidó el paraguas en la oficina. | Algún día nos vamos a reír de esto.
Bueno, ya veremos qué pasa.
"""
_FRENCH = """
Bonjour, comment vas-tu aujourd'hui ? | Hier, j'ai lu un très beau livre. | Où est mon manteau bleu ?
Demain, nous partons à la mer avec des amis. | Le chien dort sous la table. | Ferme la fenêtre, s'il te plaît.
Ma mère prépare la meilleure soupe du monde. | Tu as déjà mangé quelque chose ? | Je ne peux pas y croire.
Ce week-end, on rend visite à nos grands-parents. | Est-ce que tu peux m'aider ? | Les enfants jouent dans le jardin.
Il fait vraiment chaud cet été. | Elle joue du piano tous les soirs. | Peut-être qu'il viendra plus tard.
Attention, la route est mouillée ! | Je voudrais un café avec du lait. | Pourquoi tu ne m'as pas appelé ?
Je n'oublierai jamais ce film. | Cinq pommes et deux poires, merci. | Il faut parler doucement, le bébé dort.
Le train part à huit heures et demie. | Elle m'a écrit une longue lettre. | Joyeux anniversaire, mon ami !
Mon frère habite dans un petit village. | Je ne comprends pas la question. | Du pain, du beurre et un peu de miel.
Combien coûte ce chapeau ? | La clé est posée sur la commode. | Hier soir, nous avons dansé jusqu'à minuit.
Franchement, ça m'est égal. | Il pleut beaucoup en novembre. | Notre voisin répare de vieilles montres.
Quelle belle surprise ! | Je cherche une pharmacie ouverte. | Le professeur a tout expliqué encore une fois.
Tu préfères de l'eau ou du jus de pomme ? | J'ai oublié mon parapluie au bureau. | Un jour, nous en rirons ensemble.
Bon, on verra bien ce qui se passe.
"""
_ITALIAN = """
Buongiorno, come stai oggi? | Ieri ho letto un bellissimo libro. | Dov'è la mia giacca verde?
Domani andiamo al mare con gli amici. | Il cane dorme sotto il tavolo. | Per favore, chiudi la finestra.
Mia madre prepara la zuppa più buona del mondo. | Hai già mangiato qualcosa? | Non posso crederci.
Nel fine settimana visitiamo i nonni. | Mi puoi aiutare, per piacere? | I bambini giocano in giardino.
D'estate fa molto caldo. | Lei suona il pianoforte ogni sera. | Forse verrà più tardi.
Attenzione, la strada è bagnata! | Vorrei un caffè con un po' di latte. | Perché non mi hai chiamato?
Non dimenticherò mai quel film. | Cinque mele e due pere, grazie. | Parliamo piano, il bambino dorme.
Il treno parte alle otto e mezza. | Mi ha scritto una lettera lunghissima. | Buon compleanno, amico mio!
Mio fratello abita in un piccolo paese. | Non capisco la domanda. | A colazione mangio pane, burro e miele.
Quanto costa questo cappello? | La chiave è sopra la mensola. | Ieri sera abbiamo ballato fino alle tre.
Sinceramente, non mi importa. | A novembre piove spesso. | La vicina ha un gatto grasso e vecchio.
Che bella sorpresa! | Sto cercando una farmacia aperta. | Il professore ha spiegato tutto di nuovo.
Preferisci acqua o succo d'arancia? | Ho dimenticato l'ombrello in ufficio. | Un giorno ne rideremo insieme.
Va bene, vedremo che cosa succede.
"""
_PORTUGUESE = """
Bom dia, como você está hoje? | Ontem comprei um livro muito bonito. | Onde está o meu casaco verde?
Amanhã vamos à praia com os amigos. | O cachorro dorme embaixo da mesa. | Por favor, abra a janela.
Minha mãe faz a melhor sopa do mundo. | Você já comeu alguma coisa? | Não posso acreditar nisso.
No fim de semana visitamos os avós. | Você pode me ajudar com isto? | As crianças brincam no jardim.
Faz muito calor no verão. | Ela toca piano todas as noites. | Talvez ele venha mais tarde.
Cuidado, o chão está molhado! | Quero um café com leite, por favor. | Por que você não me ligou?
Nunca vou esquecer aquele filme. | Cinco maçãs e duas peras. | Precisamos falar baixinho.
O trem sai às oito e meia. | Ela me escreveu uma carta muito longa. | Feliz aniversário, meu amigo!
Meu irmão mora numa aldeia pequena. | Não entendo a pergunta. | Pão com manteiga e um pouco de mel.
Quanto custa este chapéu? | A chave ficou em cima da mesa. | Ontem dançamos até as três.
Na verdade, tanto faz. | Chove muito em novembro. | A vizinha tem um gato gordo e velho.
Que surpresa boa! | Estou procurando uma farmácia. | O professor explicou tudo outra vez.
Você prefere água ou suco de laranja? | Esqueci o guarda-chuva no escritório. | Um dia vamos rir de tudo isso.
Bom, vamos ver o que acontece.
"""


def _fixed(text: str) -> tuple[str, ...]:
    return tuple(sentence.strip() for sentence in re.split(r"[|\n]", text) if sentence.strip())


FIXED_SENTENCES: dict[str, tuple[str, ...]] = {
    "de": _fixed(_GERMAN),
    "es": _fixed(_SPANISH),
    "fr": _fixed(_FRENCH),
    "it": _fixed(_ITALIAN),
    "pt": _fixed(_PORTUGUESE),
}
"""Whole sentences per language; English comes from the grammar instead."""
LANGUAGES = ("en", *FIXED_SENTENCES)


def draw_sentence(rng: np.random.Generator, language: str, split: str) -> str:
    """A random sentence of `language` (one of LANGUAGES) that only the given split (one of SPLITS) can contain.

    >>> draw_sentence(np.random.default_rng(0), "de", "heldout") in FIXED_SENTENCES["de"][-8:]
    True
    """
    if language == "en":
        return _fill_template(rng, *_GRAMMAR[split])
    sentences = split_sentences(language, split)
    return sentences[rng.integers(len(sentences))]


def split_sentences(language: str, split: str) -> tuple[str, ...]:
    """The fixed sentences of a language other than English that belong to the split."""
    sentences = FIXED_SENTENCES[language]
    n_train = round(len(sentences) * (1 - HELDOUT_SHARE))
    return {"train": sentences[:n_train], "heldout": sentences[n_train:]}[split]


def _fill_template(rng: np.random.Generator, templates: tuple[str, ...], words: dict[str, list[str]]) -> str:
    template = templates[rng.integers(len(templates))]

    def draw(match: re.Match[str]) -> str:
        choices = words[match[1]]
        return choices[rng.integers(len(choices))]

    sentence = _SLOT.sub(draw, template)
    sentence = re.sub(r"\b([Aa]) (?=[aeiou])", r"\1n ", sentence)
    return sentence[0].upper() + sentence[1:]
