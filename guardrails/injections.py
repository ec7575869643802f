"""Well-known ways to give a model orders that are not its own: in a question, in earlier turns, in a document.

Patterns find what is said in the usual words, in English, German, French and Spanish (the commonest also in Italian,
Portuguese and Dutch). They miss whatever is said in other words: docs/guardrails-flags.md has figures.

Each is searched in time proportional to the text: whatever repeats is possessive or bounded, and a word that must be
there comes first.
"""

from dataclasses import dataclass

import regex  # type: ignore[import-untyped]

from guardrails.readings import readings

SEARCH_SECONDS = 1.0
"""How long one form may be searched for in one reading of a text; a millisecond in 100,000 characters is usual."""


@dataclass(frozen=True)
class Form:
    """A way to do it. A sure one has no other use in what people write at work, so that it can be blocked."""

    id: str
    sure: bool
    needs: tuple[str, ...]
    """Small letters, one of which stands in whatever the pattern matches: without them it need not be searched for."""
    pattern: "regex.Pattern[str]"


@dataclass(frozen=True, order=True)
class Attempt:
    """A form in `[start, end)` of the text, in code points."""

    start: int
    end: int
    form: str
    sure: bool


def _form(name: str, needs: str, *alternatives: str, sure: bool = False) -> Form:
    """Spaces in the alternatives stand for any white space, and what may be there for none, too."""
    either = "|".join(alternative.replace(" ?", r"\s*+").replace(" ", r"\s++") for alternative in alternatives)
    words = tuple(each.replace("¦", "|") for each in needs.split("|"))
    return Form(name, sure, words, regex.compile(rf"(?<!\w)(?:{either})", regex.IGNORECASE | regex.MULTILINE))


_GAP = r"(?:[\s,]++\w++){0,3}?\s++"
"""Up to three words in between."""
_IGNORE = (
    "(?:ignore|disregard|forget|neglect|override|overrule|bypass|drop|do not follow|don't follow|stop following|"
    "pay no attention to)(?: now| about)?"
)
_SURE_ORDERS = "(?:instructions?|prompts?|directives|programming|system message)"
"""What nobody but a model is told to ignore."""
_ORDERS = (
    "(?:instructions?|prompts?|guidelines|directives|programming|commands|orders|rules|restrictions|system message)"
)
_EARLIER = "(?:previous|prior|preceding|earlier|above|foregoing|initial|original|existing|system|hidden)"
_SECRETS = (
    "(?:system prompts?|system message|initial (?:prompt|instructions)|hidden (?:prompt|instructions)|"
    "original (?:prompt|instructions)|secret (?:prompt|instructions)|prompt texts?|pre-?prompt|developer message|"
    "confidential instructions)"
)
_TELL = (
    "(?:reveal|show|print|repeat|output|display|leak|disclose|expose|dump|recite|write out|spell out|give me|tell me)"
)
_FORGET_DE = "(?:vergiss|vergessen sie|ignoriere|ignorieren sie|missachte|verwirf)(?: bitte| nun| jetzt)?+"
_EARLIER_DE = "(?:bisherigen|vorherigen|vorigen|obigen|früheren|ursprünglichen|vorangegangenen)"
_FORGET_FR = "(?:oublie|oubliez|ignore|ignorez|ne tiens pas compte de|ne tenez pas compte de)"
_FORGET_ES = "(?:olvida|olvide|ignora|ignore|descarta|omite|haz caso omiso de|no hagas caso (?:a|de))"
_PERSONAS = (
    "(?:DAN|STAN|DUDE|AIM|EvilBOT|BetterDAN|FreeGPT|(?:an? )?(?:unrestricted|unfiltered|uncensored|jailbroken|"
    "amoral|immoral|rogue|lawless) (?:AI|chatbot|assistant|model|language model|bot|GPT))"
)
_LISTENER = "(?:AI|A\\.I\\.|LLM|language model|(?:AI|virtual|digital) assistant|chatbot|ChatGPT|GPT|Copilot)"
_HOARD = (
    "(?:conversation|chat history|chat log|api[-\x20]?keys?|passwords?|credentials|customer data|personal data|"
    "user data|secrets?|access tokens?|system prompt)"
)

FORMS = (
    _form(
        "override",
        "ignor|disregard|forget|neglect|overr|bypass|follow|attention|drop |vergiss|vergess|missacht|verwirf|"
        "oubli|compte|olvid|descart|omit|caso|dimentic|esque|desconsider|negeer|vergeet",
        rf"{_IGNORE} (?:all |any |every |each )(?:of )?(?:the |your |these |those |my )?{_EARLIER} {_SURE_ORDERS}\b",
        rf"{_IGNORE} (?:all (?:of )?your (?:own )?|your (?:own )?{_EARLIER} ){_ORDERS}\b",
        rf"{_IGNORE} {_EARLIER} (?:system )?{_SURE_ORDERS}\b",
        rf"{_IGNORE} (?:all )?the (?:above|previous|prior) {_SURE_ORDERS} and\b",
        rf"{_FORGET_DE} (?:alle (?:deine |ihre )?|sämtliche |deine )(?:{_EARLIER_DE} )?(?:system-?)?"
        r"(?:anweisungen|instruktionen|systemanweisungen|befehle|prompts?)\b",
        rf"{_FORGET_FR} (?:toutes (?:les|tes|vos)|tes) (?:instructions|consignes|directives)\b",
        rf"{_FORGET_ES} (?:todas (?:las|tus|sus)|tus) (?:instrucciones|órdenes|indicaciones|directrices)\b",
        r"(?:ignora|dimentica) (?:tutte )?(?:le|tue) (?:tue )?istruzioni (?:precedenti|iniziali)\b",
        r"(?:ignore|ignora|esqueça|esquece|desconsidere) (?:todas )?as (?:suas )?instruções (?:anteriores|prévias|"
        r"acima)\b",
        r"(?:negeer|vergeet) (?:alle|je|uw) (?:vorige|eerdere|bovenstaande) (?:instructies|opdrachten)\b",
        sure=True,
    ),
    _form(
        "forget",
        "ignor|disregard|forget|neglect|overr|bypass|follow|attention|drop |vergiss|vergess|missacht|verwirf|oubli|"
        "compte|olvid|descart|omit|caso|dimentic",
        rf"{_IGNORE} (?:everything|all|anything)(?: that)? (?:(?:you were|you have been|you've been) told|(?:was|"
        rf"is|has been) (?:said|written)|I(?:'ve| have)? (?:said|told you|wrote)|(?:came|comes|went)|you know|"
        rf"above|before|previously|prior)\b",
        rf"{_IGNORE} (?:all |any |every )?(?:of )?(?:the |these |those |my )?{_EARLIER} (?:text|tasks?|"
        rf"assignments?|messages?|context|information|{_ORDERS})(?! (?:of|in|from|on|for) the)\b",
        rf"{_IGNORE} (?:all )?(?:the |your )?(?:tasks|assignments)\b",
        rf"{_IGNORE} (?:everything|all)(?: that)? (?:we|you) (?:\w++ )?(?:discussed|said|talked about|wrote|know|"
        rf"learned)\b",
        rf"{_IGNORE} (?:(?:all|any)(?: of)?(?: the| your)?|your|the {_EARLIER}|{_EARLIER})(?: {_EARLIER}| safety| ethical)? "  # noqa: E501
        rf"{_ORDERS}(?! (?:of|in|from|on|for)\b)",
        rf"{_FORGET_DE} alles (?:davor|zuvor|vorher|gesagte|was)\b",
        rf"{_FORGET_DE} (?:alle |die |deine |ihre )(?:{_EARLIER_DE} )?"
        r"(?:angaben|aufträge|aufgaben|informationen|anweisungen|instruktionen|regeln|vorgaben)\b",
        rf"{_FORGET_FR} tout ce qu(?:i|e|')(?: ?[\w'\u2019]++){{0,3}}? (?:précède|dit|écrit|avant)\b",
        rf"{_FORGET_FR} (?:les|vos) (?:instructions|consignes|directives|règles)\b",
        rf"{_FORGET_ES} todo (?:lo (?:anterior|dicho|de arriba)|lo que|que)\b",
        rf"{_FORGET_ES} (?:las|sus) (?:instrucciones|órdenes|reglas|indicaciones) (?:anteriores|previas|de arriba)\b",
        r"(?:dimentica|ignora) tutto (?:ciò che|quello che|il resto)\b",
    ),
    _form(
        "persona",
        "dan|stan|dude|aim|evilbot|freegpt|unrestrict|unfilter|uncensor|jailbr|moral|rogue|lawless|anything now|"
        "beschränk|unzensiert|sans|sin|senza|sem|ohne",
        rf"(?:you are|you're|you will be|you shall be|become|act as|behave as|respond as|answer as|pretend to be|"
        rf"play the role of|simulate)(?: now| from now on| going to be| going to act as)?+(?: an? AI (?:named|"
        rf"called))? {_PERSONAS}\b",
        r"do anything now\b",
        r"(?:du bist|sie sind|tu es|vous êtes|eres|usted es|sei|você é)(?: (?:jetzt|nun|ab jetzt|ab sofort|"
        r"maintenant|désormais|ahora|ora|agora))?+(?: (?:eine?|un[ea]?|uma?))?+ (?:DAN\b|(?:uneingeschränkte|"
        r"unzensierte|ungefilterte|unmoralische) KI\b|IA (?:sans|sin|senza|sem) (?:limites?|límites|limiti|"
        r"restrictions?|restricciones|filtros?|filtres?|censure|censura)\b|KI ohne (?:Grenzen|Regeln|Filter|"
        r"Einschränkungen)\b)",
        sure=True,
    ),
    _form(
        "no-limits",
        "restrict|filter|censor|limit|confine|moral|ethic|bound|polic|guideline|constrain|einschränk|regeln|"
        "grenzen|richtlin|bedenken",
        r"(?:answer|respond|reply|act|speak|write|operate|free|freed|exist|"
        r"comply)(?:[\s,]++\w++){0,3}? (?:without|from|of) (?:any |all |the typical |moral |"
        r"ethical )*+(?:restrictions?|filters?|censorship|limitations|confines|moral(?:ity| limits)?|ethic(?:s|"
        r"al (?:limits|guidelines|constraints)))\b",
        r"(?:not|no longer|never) (?:be )?(?:bound|restricted|limited|constrained) by (?:any |the |its |your |"
        r"OpenAI'?s? )*+(?:rules|polic(?:y|ies)|guidelines|ethics|morals?|laws?|restrictions|filters?)\b",
        r"(?:has|have|had|with|there are) no (?:ethical |moral |content |safety )++(?:guidelines|restrictions|"
        r"limits|rules|policy|policies|filters?|constraints|boundaries|training)\b",
        r"(?:ignore|ignores|bypass|disable|violate|break|against|circumvent|"
        r"turn off)(?: \w++){0,2}? (?:OpenAI'?s?|content|usage|safety|moderation) (?:content |usage |"
        r"safety )?(?:polic(?:y|ies)|guidelines|filters?)\b",
        r"(?:ohne|hat keine|hast keine) (?:jegliche |irgendwelche |ethischen? |moralischen? )++(?:einschränkungen|"
        r"regeln|filter|grenzen|richtlinien|bedenken)\b",
    ),
    _form(
        "never-refuse",
        "refus|declin|reject|as an ai|sorry|can't|cannot|disclaim|moral|in character|lose |deduct|subtract",
        r"(?:never|not allowed to|may not|must not|cannot|can't|do not|don't)(?: ever)? (?:refuse|decline|"
        r"reject) (?:any|a|to answer|to respond|my|the user|requests?)\b",
        r"(?:never|do not|don't|without)(?: ever)? (?:say|saying|write|use|include|add|mention|apologi[sz]e|"
        r"giv(?:e|ing))(?:[\s,]++[\w'\u2019\"\u201c]++){0,4}? [\"'\u201c]?(?:as an AI|I'm sorry|I am sorry|I can't|"
        r"I cannot|disclaimers?|moral(?:i[sz]ing)?)\b",
        r"(?:stay|remain|keep) in character(?:[\s,.!]++\w++){0,3}? (?:no matter|at all times|always|never|even if)\b",
        r"(?:lose|deduct|subtract) \d++ (?:tokens?|points?|lives|credits?)\b",
    ),
    _form(
        "reveal",
        "prompt|instruc|message|anweisung|eingabeauff|consigne",
        rf"{_TELL}(?: me| us)?+(?: back)?+(?: all| the| full| whole| entire| exact| complete| of|"
        rf" text){{0,3}}+ your (?:full |entire |whole |exact |complete |own )?{_SECRETS}",
        r"(?:zeig|zeige|verrate|nenne|wiederhole|drucke|gib|zeigen sie|nennen sie)(?: mir|"
        r" uns)?+(?: bitte)?+ (?:deine?n?|ihre?n?) (?:kompletten |ganzen |geheimen |ursprünglichen |"
        r"versteckten )?(?:system-?prompt|systemanweisung(?:en)?|prompt-?texte?|anweisungen wörtlich|"
        r"eingabeaufforderung)",
        r"(?:révèle|révélez|affiche|affichez|montre|montrez|répète|répétez|donne|donnez)(?:-moi)?+ (?:ton|votre|"
        r"tes|vos) (?:prompt système|prompt initial|instructions (?:initiales|système|cachées|secrètes)|"
        r"consignes (?:initiales|cachées|secrètes))",
        r"(?:revela|revele|muestra|muéstrame|muestre|repite|dime|dame|imprime) (?:tu|su|tus|"
        r"sus) (?:prompt (?:del sistema|inicial)|instrucciones (?:iniciales|del sistema|ocultas|secretas))",
        sure=True,
    ),
    _form(
        "ask-prompt",
        "prompt|instruc|message|above|before|preceding|prior to|up to here|chat|conversation|text|gespräch",
        rf"(?:what|which)(?:'s| is| are| was| were) your {_SECRETS}",
        rf"{_TELL}(?: me)?+(?: all| the| full| whole| entire){{0,3}}+ {_SECRETS}",
        r"(?:repeat|print|copy|output|show|translate|encode|summari[sz]e)(?: me)?+ (?:everything|all|the (?:text|"
        r"words?|lines?|prompt|input prompt|above)|all (?:the )?(?:text|words))(?: (?:that is|written|which is|"
        r"input|prompt))?+ (?:above|before this|prior to this|preceding|up to here)\b",
        r"what (?:was|is|did it say|stands)(?: written| said)?+ (?:at the (?:beginning|start|top) of|before|"
        r"above) (?:this|the|our) (?:prompt|conversation|chat|message)\b",
        r"(?:was|what) stand (?:am anfang|zu beginn|über) (?:dieses|des|diesem) (?:prompts?|chats?|gesprächs?|"
        r"texts?)\b",
    ),
    _form(
        "role-marker",
        "<¦|<<sys>>",
        r"(?<![`'\"\w])<\|(?:(?:im_start|start_header_id)\|>\s*+(?:system|assistant|developer)|(?:system|"
        r"assistant)\|>)[\s:>]*+(?:<\|end_header_id\|>)?+\s*+\w++(?:[,\x20]++[\w']++){2}",
        r"<<SYS>>[^<]{10}",
        sure=True,
    ),
    _form(
        "role-heading",
        "<¦|<start_of|<end_of|inst]|sys>>|system|instruction|assistant|developer|prompt|context|document|input|"
        "untrusted",
        r"(?:<\|(?:im_start|im_end|endoftext|eot_id|start_header_id|end_header_id|system|user|assistant)\|>|"
        r"<start_of_turn>|<end_of_turn>|\[/?INST\]|<</?SYS>>)",
        r"(?:^|(?<=\n))\h*+(?:#{2,6}\h*+|\*\*|\[|<)(?:new )?(?:system|instructions?|assistant|"
        r"developer)(?: (?:message|prompt|override|update|note))?+(?:\]|>|\*\*)?+\h*+:",
        r"\"role\"\s*+:\s*+\"(?:system|developer)\"",
        r"(?:begin|end|start|stop) (?:of )?(?:the )?(?:system|prompt|context|document|user input|instructions|"
        r"untrusted)(?: (?:prompt|message|update|input|data))?+\h*+(?:-{2,}|={2,}|\*{2,}|\]|"
        r"\.)[\s\S]{0,40}?\b(?:new|now|ignore|task|instructions)\b",
        r"system (?:override|alert|update|notice)\b[^\n]{0,20}?[:.\]]",
    ),
    _form(
        "fake-turn",
        "assistant|ai|chatgpt|bot",
        r"(?:^|(?<=\n))\h*+(?:assistant|AI|chatgpt|bot) ?:[^\n]{1,200}+\n++\h*+(?:human|user|me) ?:",
    ),
    _form(
        "mode",
        " mode|in two|twice|jailbreak|classic|dan|gpt|unfiltered|🔓|🔒",
        r"(?:enter|enable|activate|switch (?:in)?to|turn on|unlock|you are (?:now )?in|with) (?:the )?(?:DAN|"
        r"jailbreak|god|evil|unrestricted|unfiltered|uncensored|no-limits|opposite) mode\b",
        r"(?:chatgpt|GPT|the AI|you)(?: \w++){0,4}? (?:with )?developer mode (?:enabled|on|output)\b",
        r"(?:respond|answer|reply)(?: to \w++ \w++)? (?:in two (?:ways|different ways|separate ways)|twice)\b",
        r"\[(?:🔓|🔒|JAILBREAK|CLASSIC|DAN|GPT|UNFILTERED)[^\]\n]{0,20}+\]",
    ),
    _form(
        "forced-start",
        "start|begin|pwned|hacked|owned|i hate",
        r"(?:start|begin|starting|beginning)(?: with)? (?:your |every |each |the |all )(?:response|answer|reply|"
        r"message|output)s? (?:with|by)(?: saying| writing)?+ ?:?+ ?[\"'\u201c\u2018]?(?:sure|absolutely|of course|yes|"
        r"certainly|here is|here's|hello)\b",
        r"(?:answer|reply|respond|just say|simply say|only say|just print)(?: only| just|"
        r" simply)?+(?: with)?+ ?:?+ ?[\"\u201c'\u2018](?:[^\"\u201d'\u2019\n]{0,40}?)(?:pwned|hacked|owned|I hate)\b",
    ),
    _form(
        "to-the-machine",
        "ai|a.i.|llm|model|assist|chatbot|gpt|copilot|this page|this doc|this text|this e|this m|this t|this f|"
        "this a|this c|this r|intelligence|inteligencia|ki|ia",
        rf"(?:note|message|notice|attention|instructions?|memo|hint|reminder)(?: to| for)?+(?: the| any|"
        rf" all)?+ {_LISTENER}s?\b(?: (?:reading|processing|summari[sz]ing|reviewing|"
        rf"that reads))?+[^\n.]{{0,30}}?[:,.\]-]",
        rf"(?:if|when|as) (?:you are|you're) (?:an? |the )?{_LISTENER}\b",
        r"(?:hey|dear|hello|hi|attention) (?:ChatGPT|GPT|LLM|AI|Copilot|chatbot)\b",
        rf"(?:when|if|whenever|before) (?:you|an? {_LISTENER}|the (?:assistant|AI|model)) (?:summari[sz]es?|reads?|"
        rf"process(?:es)?|reviews?) this (?:page|document|text|e-?mail|message|ticket|file|article|cv|resume)\b",
        r"(?:achtung|hinweis|anweisung|nachricht) an (?:die|das|den|jede) (?:KI|Sprachmodell|Assistenten|LLM|"
        r"Chatbot)\b",
        r"(?:note|instruction|consigne|message) (?:à|pour) l'(?:IA|assistant IA|intelligence artificielle)\b",
        r"(?:nota|instrucción|mensaje) para (?:la IA|el modelo|el asistente de IA|la inteligencia artificial)\b",
    ),
    _form(
        "secretly",
        "user|human|this|nutzer|anwender",
        r"(?:do not|don't|never|without)(?: ever)?+ (?:tell|telling|inform(?:ing)?|notify(?:ing)?|alert(?:ing)?|"
        r"mention(?:ing)?|reveal(?:ing)?|show(?:ing)?)(?: this| it| that| anything)?+(?: to)?+ (?:the user|"
        r"the human|this (?:note|instruction|message|text))\b",
        r"(?:hide|conceal) (?:this|these|the) (?:instructions?|note|message|action) (?:from|to) (?:the )?(?:user|"
        r"human)\b",
        r"(?:sage|sag|erzähle) (?:dem|der) (?:Nutzer|Benutzer|Anwender)(?:in)? (?:nichts|davon nichts)\b",
    ),
    _form(
        "exfiltration-image",
        "http",
        r"!\[[^\]\n]{0,100}+\]\(\s*+https?://[^\s)]{1,300}?[?&][\w.-]{1,40}=(?:[{\[<$]|[^\s)&]{40})",
        r"<img\b[^>\n]{0,200}?src\s*+=\s*+[\"']?https?://[^\s\"'>]{1,300}?[?&][\w.-]{1,40}=(?:[{\[$]|[^\s\"'>&]{40})",
    ),
    _form(
        "exfiltration",
        "conversation|chat|key|password|credential|data|secret|token|prompt",
        rf"(?:send|post|forward|upload|leak|transmit|e-?mail|exfiltrate|append|"
        rf"copy)(?:[\s,]++[\w']++){{0,6}}? {_HOARD}(?:[\s,]++[\w']++){{0,5}}? (?:to|into|at|in) (?:the )?(?:url |"
        rf"address |webhook |link )?(?:https?://|[\w.+-]{{1,64}}+@|www\.)",
        rf"(?:put|place|insert|encode|append|add|"
        rf"include)(?:[\s,]++[\w']++){{0,6}}? {_HOARD}(?:[\s,]++[\w']++){{0,5}}? (?:to|into|in) (?:the |this |"
        rf"an? )?(?:url|link|query string|image (?:url|link)|markdown image)\b",
    ),
    _form(
        "tool-call",
        "tool|function|invoke|plugin|python_tag|action",
        r"(?:<(?:tool_call|function_calls?|tool_use|invoke name|antml:invoke)\b|\[TOOL_CALLS\]|<\|(?:python_tag|"
        r"tool_call|plugin|action_start)\|>)",
        r"\"(?:tool_calls|function_call|tool_use)\"\s*+:\s*+[\[{]",
        r"(?:^|(?<=\n))Action ?: ?[\w.-]{1,60}+\s*+\nAction Input ?:",
        r"(?:call|invoke|execute|use|run) (?:the )?(?:tool|function|"
        r"plugin)s? [\w.\"'`-]{1,60}+(?:[\s,]++\S{1,40}+){0,12}? (?:without (?:asking|confirmation|telling)|"
        r"and do not (?:confirm|ask|tell))\b",
    ),
    _form(
        "encoded",
        "deco|deci|decr|unscramble|deko|déco|base64|rot13|hex|morse|leet",
        r"(?:decode|decipher|decrypt|unscramble|base64-decode|dekodiere|décode[zr]?|"
        r"decodifica)(?:[\s,]++\S{1,30}+){0,8}? (?:and(?: then)?|und|et|y) (?:follow|execute|obey|carry out|"
        r"do (?:it|what)|run (?:it|them)|comply|perform|führe|befolge|exécute|ejecuta|sigue)\b",
        r"(?:respond|answer|reply|write|speak)(?: to \w++)?+(?: only)?+ (?:in|using) (?:base64|rot13|"
        r"hex(?:adecimal)?|morse(?: code)?|leetspeak)\b",
    ),
    _form(
        "authority",
        "developer|creator|programmer|administrator|owner|filter|safety|guardrail|restriction|moderation",
        r"(?:I am|I'm|this is|we are) (?:your|the) (?:developers?|creators?|programmers?|"
        r"(?:system )?administrator|owner) ?(?:and|,|;|\.|:|of (?:this|the) (?:AI|model|system|"
        r"assistant))(?:[^\n.]{0,60}?)(?:must|may|obey|ignore|disable|turn off|override|without restriction|"
        r"show me|grant)\b",
        r"(?:filters?|safety|guardrails|restrictions|moderation) (?:are|is|have been|"
        r"has been) (?:now )?(?:disabled|turned off|lifted|removed|suspended)\b(?:[^\n.]{0,40}?)\b(?:for this|"
        r"you (?:can|may|must|will))\b",
    ),
)  # fmt: skip
"""What is looked for, by name."""


def attempts(text: str) -> list[Attempt]:
    """Every form that any reading of the text has, in order. Raises TimeoutError, which ordinary texts never cause."""
    found = set()
    for reading in readings(text):
        small = reading.text.lower()
        for form in FORMS:
            if not any(needed in small for needed in form.needs):
                continue
            for match in form.pattern.finditer(reading.text, timeout=SEARCH_SECONDS):
                found.add(Attempt(*reading.source(*match.span()), form.id, form.sure))
    return sorted(found)
