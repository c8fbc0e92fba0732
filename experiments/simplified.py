"""Write policyclf/simplified.txt: traditional characters on one line, their simplified forms on the next.

Facts from OpenCC's character table (Apache-2.0). Only pairs of single characters of the basic plane are kept, first choice
first, so that folding never moves an offset.  Usage: python experiments/simplified.py TSCharacters.txt
"""

import sys
from pathlib import Path

pairs = {}
for line in Path(sys.argv[1]).read_text(encoding="utf-8").splitlines():
    if not line or line.startswith("#"):
        continue
    traditional, _, choices = line.partition("\t")
    plain = choices.split(" ")[0]
    if len(traditional) == len(plain) == 1 and traditional != plain and max(traditional, plain) <= "\uffff":
        pairs[traditional] = plain
target = Path(__file__).parent.parent / "policyclf" / "simplified.txt"
target.write_text("".join(sorted(pairs)) + "\n" + "".join(pairs[t] for t in sorted(pairs)) + "\n", encoding="utf-8")
