"""EAD-Net: emotional talking heads from a portrait, a voice and words.

Letters used for tensor dimensions everywhere in this package:

| letter | dimension | letter | dimension |
|---|---|---|---|
| B | batch | C | channels |
| T | video frames | H, W | pixels |
| S | audio tokens per frame | h, w | latent cells |
| E | emotion tokens per frame | N | audio samples |
| D | width of a token | K | graph nodes per frame |
"""
