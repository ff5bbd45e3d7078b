"""The diagram of each chapter, drawn by code: python -m scripts.diagrams

`shapes.py` knows how large a box is and draws it, `layout.py` places boxes on a grid and leads arrows between them,
`profiles.py` reads sizes from networks, and `chapters/` says for each chapter what is connected with what. A diagram
is drawn twice, for a wide column and for a phone. `write.py` puts both into book/_static/diagrams and the wide one
into a cell of the notebook.
"""
