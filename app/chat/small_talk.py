"""Short answers to what is no question."""

import re

_WORDS = re.compile(r"[a-z']+")
_HELP = "I answer questions from the documents of this site, with quotes and with links to where they stand."
_SAYINGS = {
    f"Hello! {_HELP} What would you like to know?": """
        hi|hello|hey|hey there|hi there|hello there|good morning|good afternoon|good evening|good day
        |greetings|howdy|hiya|yo|hello again|hi again""",
    "You are welcome. Ask whenever you have another question.": """
        thanks|thank you|thank you very much|thanks a lot|many thanks|thx|ty|thank you so much
        |thanks so much|cheers|great thanks|ok thanks|okay thanks|perfect thanks|cool thanks
        |thanks that helps|that helps|thats helpful|much appreciated|got it thanks""",
    "Goodbye! This conversation stays here for when you come back.": """
        bye|goodbye|bye bye|see you|see you later|cya|good night|have a nice day""",
    "All is well here, thank you. What would you like to know?": """
        how are you|how are you doing|how is it going|hows it going|whats up|sup""",
    _HELP: """
        who are you|what are you|what can you do|what do you do|help|help me|can you help me|can you help
        |how does this work|what can i ask|what can i ask you|what can i ask here|are you a bot
        |are you human|are you an ai|are you there|test|testing""",
    "Good. Ask whenever you have another question.": """
        ok|okay|great|cool|nice|perfect|good|very good|yes|no|got it|i see|alright|all right|fine
        |awesome|wow|lol|haha""",
}
_REPLIES = {said.strip(): reply for reply, sayings in _SAYINGS.items() for said in sayings.split("|")}
_LONGEST = 60


def small_talk(message: str) -> str | None:
    """Return the answer to a greeting, to thanks and the like; None for anything else."""
    if len(message) > _LONGEST:
        return None
    words = " ".join(_WORDS.findall(message.lower().replace("\u2019", "'"))).replace("'", "")
    return _REPLIES.get(words)
