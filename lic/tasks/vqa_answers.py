"""How VQA's and TextVQA's scoring compares answers: case, punctuation, articles, numbers and apostrophes do not count.

Ported from MMF's EvalAIAnswerProcessor (github.com/facebookresearch/mmf, mmf/utils/m4c_evaluators.py, BSD-3-Clause),
peculiarities included: published numbers were made with them.
"""

import re

_FORMS = re.findall(r"\S+", """
ain't aren't can't could've couldn't couldn't've didn't doesn't don't hadn't hadn't've hasn't haven't he'd he'd've he's
how'd how'll how's isn't it'd it'd've it'll ma'am mightn't mightn't've might've mustn't must've needn't not've o'clock
oughtn't 'ow's'at shan't she'd've should've shouldn't shouldn't've somebody'd've somebody'll somebody's someone'd
someone'd've someone'll someone's something'd something'd've something'll that's there'd there'd've there're there's
they'd they'd've they'll they're they've 'twas wasn't we'd've we've weren't what'll what're what's what've when's
where'd where's where've who'd who'd've who'll who's who've why'll why're why's won't would've wouldn't wouldn't've
y'all y'all'll y'all'd've you'd you'd've you'll you're you've
""")
_WRITTEN = {form[:i] + form[i + 1 :]: form for form in _FORMS for i, char in enumerate(form) if char == "'"}
"""Each form without one of its apostrophes."""
_WRITTEN["somebody'd"] = "somebodyd"  # sic
_NUMBERS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_WORDS = {"none": "0"} | {word: str(number) for number, word in enumerate(_NUMBERS)}
_PUNCTUATION = ";/[]\"{}()=+\\_-><@`,?!"


def normalise(answer: str) -> str:
    """Return an answer as it is compared."""
    text = answer.lower().replace(",", "").replace("?", "").replace("'s", " 's").strip()
    text = text.replace("\n", " ").replace("\t", " ").strip()
    words = [_WORDS.get(word, word) for word in _without_punctuation(text).split()]
    return " ".join(_WRITTEN.get(word, word) for word in words if word not in ("a", "an", "the"))


def _without_punctuation(text: str) -> str:
    """Replace marks by nothing where one stands beside a space, or a comma in a number; else by a space."""
    stripped = text
    for mark in _PUNCTUATION:
        is_loose = f"{mark} " in text or f" {mark}" in text or re.search(r"(?<=\d),+(?=\d)", text)
        stripped = stripped.replace(mark, "" if is_loose else " ")
    return re.sub(r"\.(?!\d)", "", stripped, count=32)


def soft_accuracy(answer: str, people: tuple[str, ...]) -> float:
    """Return min(1, n / 3), n the others who said the same, averaged over leaving out each of the people.

    Antol et al. 2015, https://arxiv.org/abs/1505.00468, section 4; TextVQA's ten people, https://textvqa.org.
    """
    own, theirs = normalise(answer), [normalise(each) for each in people]
    agreeing = theirs.count(own)
    return sum(min(1.0, (agreeing - (each == own)) / 3) for each in theirs) / len(theirs)
