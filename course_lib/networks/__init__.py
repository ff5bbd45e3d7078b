"""Networks, one architecture a file: pictures in [0, 1] in, pictures in [0, 1] out."""
