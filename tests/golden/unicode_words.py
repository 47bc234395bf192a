"""Writes unicode_words.jsonl: [line, words as written, words with all of Arabic's normalisations], by Python's
unicodedata and re alone.

    python tests/golden/unicode_words.py

With a file of captions (FILE| SEPARATOR-separated, the caption last) it prints one such entry for each instead:

    python tests/golden/unicode_words.py flickr8k_arabic.csv
"""

import json
import pathlib
import re
import sys
import unicodedata

LINES = r"""
طفلة صغيرة تصعد إلى كوخ خشبي.
طفلة ترتدي ثوبًا ورديًا، تصعد السلالم!
أحمر إلى آخر ٱلكتاب ؤئء مستشفى على شاطئ الجامعة مدرسةٌ
كـــتاب جميـــل ـــ ـ
كَتَبَ الوَلَدُ الدَّرْسَ بِسُرْعَةٍ هٰذا الله
بِسْمِ ٱللَّهِ ٱلرَّحْمَـٰنِ ٱلرَّحِيمِ ۝١ قُلۡ هُوَ ۖ أَحَدٌ ۚ دَاوُۥدَ بِهِۦ مِنۢ ؐ محمد ؑ ࣰ ࣱ
ﻛﺘﺎﺏ ﺍﻟﻤﺪﺭﺳﺔ ﻻ ﷲ ﷺ ﺉ ﭐ ﭖﮐ ﹰ ﺁ ﺃ ﹷ
آخر أحمر إلى ؤ ئ َّ كِ ـَ
می‌رود خانه‌ها ‌می رود‌ کتاب‌‌ها پیاده یک کے ه‍ هـ
‏رجل‎ يركض؜ ‫سريعا‬ كت­اب خط​آخر ⁦كلب⁩ bom﻿bom
٣ رجال و١٢ امرأة ۴۵ 3 كلاب 2.5 كم 1,000 ½ كوب x² ① Ⅷ ㊌ 〇
هل هذا كلب؟ نعم؛ "كلب" «بني» (صغير) [أسود] — أبيض… ٪ ٫ ٬ ٭ ۔ \ / _ كلب_بني كلب-بني
A man doesn't SMILE; Ångström Å STRASSE straße İSTANBUL ΟΔΟΣ ΟΔΟΣ. ΣΑΣ Ǆ ﬁne ＦＵＬＬ
naïve naïve café CAFÉ Việt Nam tiếng résumé résumé q̣̇ q̣̇ á֮̀
कुत्ता दौड़ रहा है। क्‍ष क्‌ष தமிழ் ไทยคำ 日本語。テスト 한국어 한국 ｱｲｳ שָׁלוֹם
😀كلب😀 ❤️ ️ 👨‍👩‍👧 ́ كلب́ ©2012 ®brand ™ brand™ €5 +٣
	tab  nbsp　ideographic separator� �كلب�بني
"""


def words(text, arabic):
    text = unicodedata.normalize("NFKC", text)
    if arabic:
        kept = []
        for c in text:
            block = "\u0600" <= c <= "\u06ff" or "\u0750" <= c <= "\u077f" or "\u0870" <= c <= "\u08ff"
            if not (c in "\u0640\u06e5\u06e6" or block and unicodedata.category(c) == "Mn"):
                kept.append(c)
        text = re.sub("[آأإٱ]", "ا", "".join(kept))
        text = text.replace("ى", "ي").replace("ی", "ي").replace("ة", "ه")
    # One letter for each kind, so that words are found by a regular expression.
    kinds, codes = [], []
    for c in text:
        kind = unicodedata.category(c)
        if c in "\u200c\u200d":
            kinds.append("j")
        elif kind == "Cf" and c != "\u200b":
            continue
        else:
            kinds.append({"L": "w", "N": "w", "M": "m"}.get(kind[0], " "))
        codes.append(c)
    found = []
    for match in re.finditer(r"[wm](?:j*[wm])*", "".join(kinds)):
        if "w" in match.group():
            word = "".join(codes[match.start() : match.end()])
            word = re.sub("[\u200c\u200d]*([\u200c\u200d])", r"\1", word)
            found.append(word.lower())
    return found


def entry(line):
    return json.dumps([line, words(line, False), words(line, True)], ensure_ascii=False)


if len(sys.argv) > 1:
    for line in pathlib.Path(sys.argv[1]).read_text(encoding="utf-8").split("\n")[1:]:
        if line:
            print(entry(line.split("|", 2)[2].strip()))
else:
    lines = [line for line in LINES.split("\n") if line]
    here = pathlib.Path(__file__).parent
    (here / "unicode_words.jsonl").write_text("".join(entry(line) + "\n" for line in lines), encoding="utf-8")
