"""Writes spacy_lines.jsonl: [line, lower-cased tokens] of spaCy 3.8's English tokeniser on lines that are hard.

Run with spaCy installed: python tests/golden/spacy_lines.py
"""

import json
import pathlib
import random

import spacy

LINES = r"""
A man doesn't, can't, won't, shouldn't've and mustn't go.
I'm you're he's she'd we'll they've I'd've who's that's let's y'all ma'am o'clock rock'n'roll
dont cant wont im ive youre hes shes its Its it's It's ITS IT'S
gonna wanna gotta gimme lemme cannot Cannot CANNOT dunno whatcha
don’t it’s he’s can’t James’s boys’ 'twas ’twas 'em ’em 'cause ’cause nothin' goin’
the boys' dog's dogs' James's DOG'S "dog's" ('s) 's
10am 10 am 10a.m. 10 a.m. 11pm. 12p.m. 13pm 1.30pm 9:30am 5 p.m.
3.5km 10kg 5m 5m. 60mph 60 mph 12in 6ft 100% 100 % 50%-off 20$ $20 20€ €20 £5.50 US$5 5US$ C$7 A$7 10¥
3km² 5m³ 10µm 7m/s 120km/h 5GB 2TB 8K 4M 3T 10°C 10°C. 10°F. °K. 20° 5'10" 6'2
U.S. u.s. U.K. U.S.A. USA. N.Y. L.A. D.C. Ph.D. M.D. B.C. A.D. J.F.K. AT&T. NATO.
Mr. Mrs. Ms. Dr. St. Mt. Jr. Sr. Co. Inc. Ltd. Corp. vs. v.s. etc. e.g. i.e. E.g. I.e. a.m. approx. No. no. dept.
Jan. Feb. Mar. Apr. May. Jun. Jul. Aug. Sep. Sept. Oct. Nov. Dec. Mon. Tues.
Ala. Ariz. Calif. Colo. Conn. Fla. Ga. Mass. Mich. Minn. Miss. Okla. Pa. Tenn. Va. Wash. Wis.
w/o w/ and/or his/her he/she 1/2 24/7 km/h either/Or a/b A/1 1/a
t-shirt T-shirt x-ray 3-year-old twenty-one 1990s-style pre- -post ex-wife- --- -- - a--b a---b a----b 3--b
wait–what wait—what a – b a — b 1990–1995 pages 3-5 3—5 5-a a-5 3-D 2-3-4 2--3 well…then
well...then well.. then... ...and .. .... .dot dot. a.b a.B A.b A.B end.Start "end.'Start' 3.5.2 v2.0
up in the air , while making a face .
" quoted " "quoted" “quoted” ‘quoted’ ''quoted'' ``quoted'' «quoted» „quoted“ 'single' 'tis
(parentheses) [brackets] {braces} <angles> ((double)) (unclosed [mixed) <b>bold</b> (a)(b) a(b)c
red,white,blue red,white 1,000 1,000,000 1,a a,1 a,b,c ,start end, a,,b
#42 #hashtag @user user@ C# C++ c++ F# R&D AT&T Q&A rock&roll 1&2 *star* _under_ under_score a*b 2*3 2^3 2+3 +5 + 5+ a+b A+ +a
=equals a=b 1=a a=1 a<b a>b 1<2 a:b 1:a a:1 12:30 ratio:3 ~tilde a~b ~5 5~ `tick` |pipe| a|b \back\ a\b
:) :-) :( ;) :D XD xD <3 </3 :P :p :/ =) 8) 8-D (: (; ^_^ -_- o_O O.o >.< ._. :'( :’) ಠ_ಠ ¯\(ツ)/¯ ><(((*> (^_^) :-)))
hello:) hello :). (hello:) smile:-)done :)) :))) :)))) <33 <3333 :D:D :/a
http://www.example.com https://example.com/a/b?c=d&e=f#g www.example.com example.com example.co.uk ftp://x.org
see example.com. (example.com) example.com, "example.com" example.com! example.com/a. example.com:80 example.com:8 example.com:80/x
mailto:joe@example.com joe@example.com joe.smith+tag@sub.example.co.uk @example.com joe@ joe@localhost a@b.c a@b.co
http://192.168.0.1/ 192.168.0.1 8.8.8.8 8.8.8.8:53 10.0.0.1 127.0.0.1 172.16.0.1 172.32.0.1 256.1.1.1 1.2.3.4.5 223.255.255.254 169.254.1.1
http://a http://a.b http://a.bc http://-a.bc http://a_b.cd http://a-.bc x://a.bc xx://a.bc http://user:pw@host.org:8080/p
photo.jpg index.html file.TXT file.Txt readme.md a.out 1.txt .hidden foo.bar.baz foo..bar 3.m 3.ma
naïve café CAFÉ Ångström ŒUVRE ÉCOLE straße STRASSE İstanbul ISTANBUL ıx ΟΔΟΣ ΣΟΦΟΣ Σ ΑΣ. ΑΣΑ ΑΣ'Α ДОМ дом. Дом.Дом 5км 5кг.
日本語。テスト 日本、東京 “中文” ！？ ～ 「引用」 한국어 हिन्दी। عربى، עברית 5كم ٣km ①② ½cup 1½ x² H₂O
😀 smile😀smile 😀😀 ❤️ ☕coffee 👍🏽 👨‍👩‍👧 ©2012 ®brand ™ brand™ °C 20°C ★★★ → a→b ✓done
zero​width soft­hyphen no break thin space word⁠joiner combininǵ ﬁne Ⅷ Ǆ ǅ 𝐀 𐐀
a  b   c    d
 two spaces first
   three spaces first
trailing space 
trailing spaces  
A.
a.
i.
I.
x.y.
.a
.
..
...
…
……
………
'
''
'''
"
""
-
--
---
—
——
–
+
+1
1+
++
$
US$
US$$
$US
%
5%
5%.
5%%
5km.
5km,
5km).
(5km)
5km's
km
5in.
5in's
in.
1.
1).
(1).
1)
1.)
a).
A).
AB.
AB).
aB.
A1.
ÀÉ.
é.
ä.
°.
°C.
20°C.
20°c.)
'S.
's.
dog's.
dogs'.
He's.
it's,
(it's)
"it's"
'it's'
-it's-
it's-it's
can't-won't
o'clock.
10am.
(10am)
10am-5pm
10a.m.-5p.m.
a.m.-p.m.
Mr.Smith
Mr.-Smith
(Mr.
Mr.)
Mr.,
St.-Pierre
e.g.,
(e.g.
i.e.:
etc.)
etc...
U.S.'s
U.S.-based
U.S.,
(U.S.)
"U.S."
U.S...
u.s.a
and/or.
and/or/not
w/o.
w/out
(w/o)
w/o/x
a.m. p.m
a .m .
a . m .
: ) ; )
< 3
( : o
' s
’ s
o . O
: - )
10 a . m .
'bout.
('bout)
''Cause
'Cause'
</3.
<space>
<space><space>
\")
(\")
\n
\t
C++.
C++,
(C++)
c+
don't.don't
don't,don't
don'tdon't
dontcha
cant.
Cant've
couldnt've
ill Ill Ill. ill. id Id Id.
were we're well we'll hell he'll shell she'll
nuthin' Nuthin’ ol' Ol’ lovin' havin'
"'Hello,' she said."
("'[{<a>}]'")
#1's
'90s
1990's
the '90s
’90s
'n'
rock 'n' roll
rock-'n'-roll
a.'b
a'.b
a".B
a."B"
a.“B
x.Y.z
ab.CD
AB.CD
aB.Cd
1.A
1.a
a.1
a/b/c
A:B:C
a:b,c-d.E
a=b=c
1=2
<a>b
a<b>c
a--
--a
a---
a~b~c
a–b–c
a——b
a———b
1——b
1-b-2
1-2-b
1*-2
1+-2
1^2-3
1--2
1-
-1
+-1
$-1
$1.50.
$1.50,
$1,000.00
€1.000,00
£1m
1st 2nd 3rd 4th.
1,2,3
1, 2, 3.
#28.
VHJ-969.
09-09-2007.
No.5
no.5
U2's
B-52's
7-Eleven's
7-11.
McDonald's.
Macy's,
L'Oreal
D'Angelo's
O'Neill's
rock&amp;roll
&lt;b&gt;
&
&&
a&b&c
*a*
**a**
_a_
__a__
a_b_c
[a]
[a].
a[1].
f(x).
f(x)=y
a|b.
|.
{.
a`b
a´b
a¨b
¿qué?
¡hola!
«a»
‹a›
a·b
a•b
• item
✓
a✓b
❤a
a❤.
😀.
.😀
😀's
http://
://a.bc
a://b.cd
ab://c.de
ab+c-d.e://f.gh
a.bc:123456
a.bc:12345
a.bc:1
a.bc?x
a.bc#x
a.bc/x/y
a.b/x
a.bC
a.Bc
A.bc
a.bc.
a.bc..
a..bc
a.-b.cd
a-b.cd
a_b.cd
_a.bc
a.b_c
a.b-c
é.fr
ü.de/ä
日本.jp
x@y
x@y.z
x@y.zz
x@y@z.com
@@z.com
a:b@c.de
a@1.2.3.4
1.2.3.4/x
1.2.3.4x
1.2.3
1.2.3.0
0.1.2.3
01.2.3.4
224.1.1.1
1.1.1.255
1.255.255.1
1.256.1.1
172.31.1.1
172.15.1.1
192.168.1.1
192.169.1.1
169.254.0.1
10.1.1.1:80
10.1.1
"""

FRAGMENTS = (
    "a B the Man US don't 10 3.5 7 km m/s $ US$ . .. ... … , ; : ! ? ( ) [ ] < > _ # * & - -- --- ~ – — ' \" “ ” ’ ’s 's n't"
    " + ^ = / | @ :// http www com co.uk 192.168.0.1 8.8.8.8 é É Σ 日本 。 ° °C ½ 😀 e.g. p.m. w/o Mr. its :) <3"
).split(" ") + [" ", " ", "  ", "\t", "\u00a0"]


def main():
    nlp = spacy.blank("en")
    lines = LINES.strip("\n").split("\n")
    lines += ["", " ", "  ", "\t", " \t ", "a\tb", "a \t b", "a\n b", "\u00a0", "a\u00a0b", "a\u2009b", "\x1ca\x1f", "\u3000x"]
    random.seed(0)
    rules = sorted(nlp.tokenizer.rules)
    for _ in range(300):
        pieces = [random.choice(rules) if random.random() < 0.25 else random.choice(FRAGMENTS) for _ in range(random.randint(2, 8))]
        lines.append("".join(pieces))
    rows = [[line, [t.text.lower() for t in nlp.tokenizer(line)]] for line in lines]
    out = pathlib.Path(__file__).with_suffix(".jsonl")
    out.write_text("".join(json.dumps(r) + "\n" for r in rows), encoding="utf-8")
    print(len(rows), "lines, spaCy", spacy.__version__)


main()
