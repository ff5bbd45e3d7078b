"""One module a kind of item, each with ``run(job)``: it makes the item's stored runs and model files, or raises."""
