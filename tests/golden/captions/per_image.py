# pip install pycocoevalcap; the captions have no signs but ".", so that words need no Java
import json
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.rouge.rouge import Rouge
import os
T=os.path.dirname(os.path.abspath(__file__))+'/'
words=lambda s:' '.join(w for w in s.lower().split() if w!='.')
ref=json.load(open(T+'references.json'))
gts={}
for a in ref['annotations']: gts.setdefault(a['image_id'],[]).append(words(a['caption']))
for f in ['results_float_id.json','results_empty_caption.json']:
    res={int(c['image_id']):[words(c['caption'])] for c in json.load(open(T+f))}
    b,bs=Bleu(4).compute_score(gts,res,verbose=0); r,rs=Rouge().compute_score(gts,res); c,cs=Cider().compute_score(gts,res)
    print(f,b,r,c)
    for i,k in enumerate(gts): print('{"%s", {%s}, %.9g, %.9g},'%('abcd'[i]+'.jpg',', '.join('%.9g'%x[i] for x in bs),rs[i],cs[i]))
