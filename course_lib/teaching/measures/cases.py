"""What cases are taken from: a rule that asks for three pairs means the first three of these."""

PAIRS = (("eilean_donan", "great_wave"), ("schwerin_palace", "church_at_auvers"), ("cat", "cafe_terrace"))
PHOTOGRAPHS = ("eilean_donan", "schwerin_palace", "cat")
PAINTINGS = ("great_wave", "cafe_terrace", "composition_viii", "church_at_auvers", "harvest")
PAINTERS = ("great_wave", "cafe_terrace", "composition_viii", "church_at_auvers", "poppies")
BLENDS = (("great_wave", "poppies"), ("cafe_terrace", "composition_viii"), ("church_at_auvers", "summertime"))
NEW_PAINTINGS = ("harvest", "langlois_bridge", "pere_tanguy")  # the network of twelve paintings has not learned these
# A photograph and another one that gives its light
LIGHTS = (
    *(("astronaut", "gateway_of_india"), ("cat", "brandenburg_gate"), ("eilean_donan", "great_stupa")),
    *(("chenonceau", "brandenburg_gate"), ("horse", "great_stupa"), ("arles_amphitheater", "gateway_of_india")),
)
MIXED = (  # photographs of people, animals and buildings, and paintings
    *(("astronaut", "pere_tanguy"), ("cat", "cafe_terrace"), ("eilean_donan", "great_wave")),
    *(("chenonceau", "church_at_auvers"), ("horse", "harvest"), ("schwerin_palace", "composition_viii")),
)
# Both have a painted mask of the sky
MASKED = (("eilean_donan", "great_wave"), ("eilean_donan", "cafe_terrace"), ("eilean_donan", "road_to_tarascon"))
TEXTURES = (  # networks that come with the package, and their paintings
    *(("texture_great_wave", "great_wave"), ("texture_poppies", "poppies")),
    ("texture_village_street", "village_street_auvers"),
)
FACES = (0, 1, 2)  # of `data.faces`; each is painted after the next one
STREETS = tuple(range(24))  # of `data.facades`, drawn with seed 1; no network has learned these
SIDES = (32, 64)  # of a feature map, in positions
