"""What cases are taken from: a rule that asks for three pairs means the first three of these."""

PAIRS = (("eilean_donan", "great_wave"), ("schwerin_palace", "church_at_auvers"), ("cat", "cafe_terrace"))
PHOTOGRAPHS = ("eilean_donan", "schwerin_palace", "cat")
PAINTINGS = ("great_wave", "cafe_terrace", "composition_viii", "church_at_auvers", "harvest")
PAINTERS = ("great_wave", "cafe_terrace", "composition_viii", "church_at_auvers", "poppies")
BLENDS = (("great_wave", "poppies"), ("cafe_terrace", "composition_viii"), ("church_at_auvers", "summertime"))
NEW_PAINTINGS = ("harvest", "langlois_bridge", "pere_tanguy")  # the network of twelve paintings has not learned these
