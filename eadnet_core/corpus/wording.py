"""The words that captions and prompts are made of, as data: for every list a training and a held-out version.

The two versions share no phrase, so that a score on held-out wording measures reading and not memory. Moods are
listed by level (weak, medium, strong); neutral has one list. Clauses describe one facial feature; `{d}` takes a word
of degree.
"""

from __future__ import annotations

SPLITS = ("train", "heldout")

SUBJECTS = {
    "train": ("the person", "the speaker", "this person", "the face in the picture", "the actor"),
    "heldout": ("the figure on screen", "the one talking", "the character", "the individual"),
}

DEGREES = {
    "train": (
        ("slightly ", "a little ", "faintly ", "just barely "),
        ("", "clearly ", "visibly "),
        ("strongly ", "very much ", "intensely "),
    ),
    "heldout": (
        ("somewhat ", "a touch ", "ever so subtly "),
        ("noticeably ", "plainly "),
        ("markedly ", "sharply ", "powerfully "),
    ),
}
"""Adverbs for weak, medium and strong, ending in the space that the clause needs."""

MOODS: dict[str, dict[str, tuple[tuple[str, ...], ...]]] = {
    "neutral": {
        "train": (
            ("neutral", "calm", "composed", "expressionless", "relaxed", "at rest", "impassive", "even-tempered"),
        ),
        "heldout": (("blank", "matter-of-fact", "unemotional", "placid", "deadpan", "poker-faced"),),
    },
    "happy": {
        "train": (
            ("content", "amused", "pleased", "mildly happy", "good-humoured", "quietly glad"),
            ("happy", "cheerful", "joyful", "merry", "delighted", "in a good mood"),
            ("overjoyed", "ecstatic", "elated", "thrilled", "wildly happy", "euphoric"),
        ),
        "heldout": (
            ("gently smiling", "gratified", "in rather good spirits", "tickled"),
            ("jolly", "upbeat", "sunny", "beaming"),
            ("jubilant", "over the moon", "blissful", "exultant with joy"),
        ),
    },
    "sad": {
        "train": (
            ("a bit down", "wistful", "downcast", "slightly sad", "melancholy", "subdued and sad"),
            ("sad", "unhappy", "sorrowful", "gloomy", "dejected", "hurt"),
            ("heartbroken", "devastated", "grief-stricken", "in despair", "deeply sad", "close to tears with grief"),
        ),
        "heldout": (
            ("rather blue", "faintly mournful", "a shade glum", "low-spirited"),
            ("miserable", "mournful", "tearful", "crestfallen"),
            ("inconsolable", "utterly miserable", "crushed by sorrow", "sobbing"),
        ),
    },
    "angry": {
        "train": (
            ("annoyed", "irritated", "slightly angry", "impatient", "a bit cross", "displeased and tense"),
            ("angry", "mad", "hostile", "fuming", "indignant", "in a temper"),
            ("furious", "enraged", "livid", "seething with rage", "extremely angry", "boiling with fury"),
        ),
        "heldout": (
            ("peeved", "testy", "rather vexed", "a touch irate"),
            ("cross and combative", "irate", "wrathful", "outraged"),
            ("incensed", "raging", "apoplectic", "murderously angry"),
        ),
    },
    "fear": {
        "train": (
            ("nervous", "uneasy", "slightly afraid", "apprehensive", "a bit worried", "on edge and wary"),
            ("afraid", "scared", "frightened", "anxious", "fearful", "alarmed"),
            (
                "terrified",
                "panicking",
                "horrified with fear",
                "scared to death",
                "in mortal fear",
                "extremely frightened",
            ),
        ),
        "heldout": (
            ("jittery", "a touch fearful", "rather anxious", "timid"),
            ("spooked", "fear-struck", "intimidated", "full of dread"),
            ("petrified", "panic-stricken", "frozen with terror", "frightened out of all reason"),
        ),
    },
    "disgusted": {
        "train": (
            ("put off", "slightly disgusted", "a bit queasy", "faintly repelled", "mildly grossed out", "averse"),
            ("disgusted", "grossed out", "repulsed", "nauseated", "revolted", "sickened"),
            ("utterly disgusted", "about to vomit", "completely revolted", "violently nauseated", "extremely repulsed"),
        ),
        "heldout": (
            ("a touch nauseous", "rather repelled", "somewhat squeamish"),
            ("sick to the stomach", "turned off by a foul smell", "full of distaste and nausea"),
            ("gagging", "overcome with revulsion", "retching with disgust"),
        ),
    },
    "surprised": {
        "train": (
            (
                "slightly surprised",
                "curious and taken aback",
                "a bit startled",
                "mildly astonished",
                "caught off guard",
            ),
            ("surprised", "astonished", "amazed", "startled", "taken by surprise"),
            ("stunned", "shocked with amazement", "flabbergasted", "extremely surprised", "completely astounded"),
        ),
        "heldout": (
            ("a touch surprised", "rather taken aback", "mildly bemused by the unexpected"),
            ("dumbfounded", "agape", "bowled over by the news"),
            ("thunderstruck", "gobsmacked", "utterly dumbstruck"),
        ),
    },
    "contempt": {
        "train": (
            (
                "slightly smug",
                "a bit dismissive",
                "faintly scornful",
                "mildly condescending",
                "unimpressed and superior",
            ),
            ("contemptuous", "scornful", "disdainful", "condescending", "sneering", "smug"),
            (
                "full of contempt",
                "openly sneering",
                "utterly scornful",
                "dripping with disdain",
                "extremely contemptuous",
            ),
        ),
        "heldout": (
            ("a touch supercilious", "rather haughty", "somewhat patronising"),
            ("derisive", "snobbish", "mocking", "looking down on everyone"),
            ("withering in scorn", "brimming with derision", "thoroughly disdainful and arrogant"),
        ),
    },
}

IMPRESSIONS = {
    "train": (
        "{subject} looks {mood}",
        "{subject} appears {mood}",
        "{subject} seems {mood} while talking",
        "The expression is {mood}",
        "The overall impression is {mood}",
        "{subject} is {mood}",
        "This is somebody {mood}",
        "A {mood} expression is on the face",
        "I would describe the look as {mood}",
        "Judging by the face, {subject} must be {mood}",
        "We see a face that is {mood}",
    ),
    "heldout": (
        "{subject} comes across as {mood}",
        "One would call {subject} {mood}",
        "Everything in the features reads as {mood}",
    ),
}

CLAUSES: dict[str, dict[str, tuple[str, ...]]] = {
    "brows_up": {
        "train": ("the eyebrows are {d}raised", "both brows are {d}lifted", "the brows arch {d}upward"),
        "heldout": ("the eyebrows shoot {d}up", "the forehead creases under {d}elevated brows"),
    },
    "brows_worried": {
        "train": (
            "the inner ends of the brows are {d}drawn up and together",
            "the brows slant {d}upward in the middle",
            "the eyebrows are {d}raised at their inner corners and pinched",
        ),
        "heldout": ("the middle of the forehead is {d}puckered upward", "the brows tilt {d}into a worried peak"),
    },
    "brows_down": {
        "train": (
            "the brows are {d}lowered and drawn together",
            "the eyebrows are {d}knitted into a frown",
            "a crease shows between {d}furrowed brows",
        ),
        "heldout": ("the brow is {d}contracted over the eyes", "the eyebrows press {d}down to the nose"),
    },
    "brows_rest": {
        "train": (
            "the brows are level and relaxed",
            "the eyebrows rest in their natural place",
            "the forehead is smooth",
        ),
        "heldout": ("nothing moves in the brows", "the eyebrows stay flat and unlined"),
    },
    "eyes_wide": {
        "train": (
            "the eyes are {d}widened",
            "the upper lids are {d}raised, showing the whites",
            "the eyes are {d}wide open",
        ),
        "heldout": ("the eyes bulge {d}open", "the lids are {d}pulled back from the irises"),
    },
    "eyes_glare": {
        "train": ("the eyes glare {d}under tense lids", "the stare is hard and the lids are {d}tightened"),
        "heldout": ("the gaze is {d}piercing and rigid", "the eyes bore {d}ahead"),
    },
    "eyes_narrow": {
        "train": ("the eyes are {d}narrowed", "the lids are {d}tightened", "the eyes are {d}squinting"),
        "heldout": ("the eyes shrink {d}to slits", "the lower lids are {d}tensed"),
    },
    "eyes_rest": {
        "train": ("the eyes are open and calm", "the gaze is steady and soft", "the eyelids are relaxed"),
        "heldout": ("the look is level and quiet", "the eyes show no strain"),
    },
    "cheeks": {
        "train": (
            "the cheeks are {d}raised",
            "the cheeks push {d}up against the eyes",
            "crow's feet form {d}at the raised cheeks",
        ),
        "heldout": ("the apples of the cheeks are {d}rounded", "the cheeks bunch {d}up"),
    },
    "nose": {
        "train": (
            "the nose is {d}wrinkled",
            "the nostrils are {d}drawn up",
            "wrinkles run {d}along the bridge of the nose",
        ),
        "heldout": ("the nose crinkles {d}", "the nose is {d}scrunched"),
    },
    "lip_up": {
        "train": ("the upper lip is {d}raised", "the upper lip curls {d}away from the teeth"),
        "heldout": ("the upper lip hitches {d}up", "the lip above the teeth is {d}peeled back"),
    },
    "smile": {
        "train": (
            "the lip corners are {d}pulled up into a smile",
            "the mouth is {d}smiling",
            "the mouth curves {d}upward",
        ),
        "heldout": ("the lips turn {d}up at both ends", "the mouth bows {d}into a grin"),
    },
    "smile_open": {
        "train": (
            "an open smile {d}shows the teeth",
            "the lips part {d}in a broad smile",
            "the mouth is open and {d}stretched in a grin",
        ),
        "heldout": ("the teeth flash {d}in a laughing mouth", "a toothy grin spreads {d}from ear to ear"),
    },
    "smirk": {
        "train": (
            "one corner of the mouth is {d}tightened and raised",
            "the mouth is {d}lopsided in a smirk",
            "a one-sided smirk {d}pulls the mouth",
        ),
        "heldout": ("a single lip corner hooks {d}back", "the lips twist {d}to one side"),
    },
    "corners_down": {
        "train": (
            "the lip corners are {d}turned down",
            "the corners of the mouth droop {d}",
            "the mouth is {d}bent downward",
        ),
        "heldout": ("the ends of the lips sag {d}", "the mouth forms a {d}downward arc"),
    },
    "chin": {
        "train": ("the chin is {d}pushed up", "the chin is {d}wrinkled", "the lower lip is {d}pushed up by the chin"),
        "heldout": ("the chin puckers {d}", "the chin boss is {d}dimpled"),
    },
    "stretched": {
        "train": ("the lips are {d}stretched sideways", "the mouth is {d}drawn out wide and tense"),
        "heldout": ("the lips are {d}tugged back towards the ears", "the mouth is {d}a taut horizontal line"),
    },
    "tight": {
        "train": (
            "the lips are {d}pressed tight",
            "the mouth is {d}tightened into a thin line",
            "the jaw is {d}clenched",
        ),
        "heldout": ("the lips are {d}thinned and hard", "the mouth is {d}clamped"),
    },
    "jaw_drop": {
        "train": ("the jaw has {d}dropped", "the mouth hangs {d}open", "the mouth is {d}rounded and open"),
        "heldout": ("the chin falls {d}in a gape", "the mouth gapes {d}"),
    },
    "parted": {
        "train": ("the lips are {d}parted", "the mouth is {d}opened"),
        "heldout": ("a gap shows {d}between the lips", "the lips come {d}apart"),
    },
    "mouth_rest": {
        "train": ("the mouth is relaxed between words", "the lips show no tension", "the mouth moves only to speak"),
        "heldout": ("the lips do nothing but form words", "the mouth is slack and even"),
    },
}

HEADS: dict[str, dict[str, tuple[str, ...]]] = {
    "neutral": {
        "train": ("the head is still", "the head moves little", "the head is held straight"),
        "heldout": ("hardly a motion of the head accompanies the words", "the posture is upright and quiet"),
    },
    "happy": {
        "train": ("the head bobs lightly", "the head tilts in a lively way", "the head sways with the words"),
        "heldout": ("the head bounces along with the talk", "there is a playful tilt of the head"),
    },
    "sad": {
        "train": ("the head hangs low", "the head sinks slowly", "the head is bowed"),
        "heldout": ("the head droops towards the chest", "the head barely lifts"),
    },
    "angry": {
        "train": ("the head juts forward", "the head stresses every word with a nod", "the head moves in hard jerks"),
        "heldout": ("the head thrusts ahead at each stressed word", "the chin stabs at the listener"),
    },
    "fear": {
        "train": ("the head trembles", "the head pulls back", "the head shakes with small tremors"),
        "heldout": ("the head shrinks away", "a quiver runs through the head"),
    },
    "disgusted": {
        "train": ("the head turns away", "the head draws back", "the head recoils"),
        "heldout": ("the head leans off as from a bad odour", "the head is averted"),
    },
    "surprised": {
        "train": ("the head jerks back", "the head lifts", "the head snaps up"),
        "heldout": ("the head rears up", "the head starts backward"),
    },
    "contempt": {
        "train": ("the head is tilted back", "the chin is lifted", "the head is cocked to one side"),
        "heldout": ("the nose is held high", "the head leans away with a raised chin"),
    },
}

CHANGES: dict[str, dict[str, tuple[str, ...]]] = {
    "train": {
        "steady": ("the expression holds throughout", "the expression barely changes", "this lasts for the whole clip"),
        "grows": (
            "the expression grows stronger",
            "the feeling builds up over the clip",
            "it becomes more intense towards the end",
        ),
        "fades": ("the expression fades", "the feeling slowly subsides", "it relaxes towards the end"),
    },
    "heldout": {
        "steady": ("the look stays put from start to finish", "no change is to be seen over time"),
        "grows": ("it swells as the seconds pass", "the look gathers force"),
        "fades": ("it ebbs away", "the look dies down as time goes by"),
    },
}

JOINERS = {
    "train": ("{a} and {b}.", "{a}, {b}.", "{a}; {b}."),
    "heldout": ("{a} while {b}.", "{a}, and at the same time {b}.", "{a} - {b}."),
}

ADVERBS = {
    "train": (
        ("slightly", "a bit", "somewhat", "mildly", "a little"),
        ("", "quite", "really"),
        ("very", "extremely", "incredibly", "so"),
    ),
    "heldout": (
        ("vaguely", "just a touch", "rather"),
        ("", "properly", "truly"),
        ("utterly", "tremendously", "exceedingly"),
    ),
}
"""Adverbs that give the bare mood words of level medium another level in a prompt."""

PROMPTS = {
    "train": (
        "{mood}",
        "looks {mood}",
        "{mood} face",
        "she is {mood}",
        "he is {mood}",
        "I want them to look {mood}",
        "{mood}, {scene}",
        "{scene}",
    ),
    "heldout": (
        "portrait of someone {mood}",
        "play it {mood}",
        "make her {mood}",
        "somebody who feels {mood}",
        "{mood}: {scene}",
        "{scene}",
    ),
}

SCENES: dict[str, dict[str, tuple[str, ...]]] = {
    "neutral": {
        "train": (
            "reading the news",
            "just stating the facts",
            "no particular emotion",
            "an ordinary day at the office",
            "waiting for the bus",
        ),
        "heldout": ("dictating a shopping list", "giving the train times", "a passport photograph"),
    },
    "happy": {
        "train": (
            "she just won the lottery",
            "laughing with old friends",
            "smiling from ear to ear",
            "his team won the cup",
            "on the first day of the holidays",
        ),
        "heldout": ("she got the job of her dreams", "dancing at his own wedding", "grinning at the baby"),
    },
    "sad": {
        "train": (
            "crying over a lost love",
            "at the funeral of a friend",
            "tears in the eyes",
            "her dog died yesterday",
            "alone on his birthday",
        ),
        "heldout": ("weeping at the grave", "nobody came to her farewell", "saying goodbye for the last time"),
    },
    "angry": {
        "train": (
            "shouting at the referee",
            "someone stole his car",
            "gritting her teeth",
            "ready to punch somebody",
            "yelling at the top of his voice",
        ),
        "heldout": ("slamming the door", "bawling out the thief", "they lied to her again"),
    },
    "fear": {
        "train": (
            "hearing footsteps in the dark",
            "running from a monster",
            "trembling with fear",
            "the plane is going down",
            "hiding from the killer",
        ),
        "heldout": ("a bear stands before the tent", "alone in a haunted cellar", "the brakes have failed"),
    },
    "disgusted": {
        "train": (
            "there is a hair in the soup",
            "smelling rotten eggs",
            "stepping into dog mess",
            "about to throw up",
            "a cockroach crawled over the plate",
        ),
        "heldout": ("maggots in the meat", "biting into a mouldy peach", "the toilet was never cleaned"),
    },
    "surprised": {
        "train": (
            "did not see that coming",
            "a surprise party",
            "jaw on the floor",
            "the magician made the lion vanish",
            "what on earth just happened",
        ),
        "heldout": ("a long-lost twin rings the bell", "rabbits jump out of the box", "wait, that is really you?"),
    },
    "contempt": {
        "train": (
            "rolling his eyes at the amateurs",
            "a smirk of superiority",
            "looking down her nose",
            "as if they were worth his time",
            "sneering at the losers",
        ),
        "heldout": ("scoffing at the cheap suit", "the rest are beneath him", "with a snort at their feeble attempt"),
    },
}
