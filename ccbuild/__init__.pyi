"""What the door offers, for those who check types; the names are imported when they are asked for."""

from cc100.recipe import load_recipe as load_recipe
from ccbuild.config import place as place
from ccbuild.corpus import open_corpus as open_corpus
from ccbuild.dedup.corpora.texts import deduplicate as deduplicate
from ccbuild.door import build as build
from ccbuild.errors import CcbuildError as CcbuildError
from ccbuild.langid.identify import identify as identify
from ccbuild.ledger import Ledger as Ledger
from ccbuild.lm.score import Scorer as Scorer
from ccbuild.reading import read as read
from ccbuild.records import Document as Document
from ccbuild.records import Dropped as Dropped
from ccbuild.run import open_run as open_run
from ccbuild.stages import Stage as Stage
from ccbuild.stages import each as each
from ccbuild.stages import stage as stage
from ccbuild.text.page import page_text as page_text
from ccbuild.tokens import open_tokens as open_tokens

__version__: str
_ROOMS: dict[str, str]
__all__: list[str]
